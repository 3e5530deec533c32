import { appendFileSync, chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, inject, it } from 'vitest';

import { flipOneByte } from '../flip-one-byte.ts';
import { BUNDLE, bakeTrust, newKeys, seal } from '../pipeline.ts';
import { skipped } from '../requirements.ts';
import { boot, type Machine, patiently } from './machine.ts';
import type { Sealed } from './prepare.ts';

type Alteration = {
  title: string;
  alter: (root: string, sealed: Sealed) => void;
  state: 'drifted' | 'refused';
  /** Kind and path of the finding, or the code of the refusal. */
  why: string;
};

const ALTERATIONS: readonly Alteration[] = [
  {
    title: 'a byte of a program',
    alter: (root) => flipOneByte(join(root, 'usr/bin/env')),
    state: 'drifted',
    why: 'modified /usr/bin/env',
  },
  {
    title: 'an extra setuid program',
    alter: (root) => {
      copyFileSync(join(root, 'usr/bin/dash'), join(root, 'usr/bin/extra'));
      chmodSync(join(root, 'usr/bin/extra'), 0o4755);
    },
    state: 'drifted',
    why: 'unexpected /usr/bin/extra',
  },
  {
    title: 'a policy that was edited',
    alter: (root) => {
      const policy = join(root, BUNDLE, 'policy.json');
      writeFileSync(policy, readFileSync(policy, 'utf8').replace('"forbid"', '"permit"'));
    },
    state: 'refused',
    why: 'digest-mismatch',
  },
  {
    title: 'a bundle of another environment',
    alter: (root, { policy, keys }) => seal(root, policy, 'staging', keys),
    state: 'refused',
    why: 'environment-mismatch',
  },
  {
    title: 'a bundle that nobody signed',
    alter: (root, { policy }) => seal(root, policy, 'production', undefined),
    state: 'refused',
    why: 'unsigned',
  },
  {
    title: 'a trust set and a bundle of somebody else, where the trust set is pinned from outside',
    alter: (root, { policy }) => {
      const theirs = newKeys(join(dirname(root), 'theirs'));
      appendFileSync(join(root, 'etc/passwd'), 'extra:x:0:0::/root:/bin/sh\n');
      bakeTrust(root, theirs);
      seal(root, policy, 'production', theirs);
    },
    state: 'refused',
    why: 'trust-pin-mismatch',
  },
];

describe.skipIf(skipped(inject('noContainer')))('a boot of an image altered after it was sealed', () => {
  const sealed = inject('sealed');

  it.for(ALTERATIONS)('is never complete nor healthy: $title', async ({ alter, state, why }) => {
    if (sealed === undefined) throw new Error('no image was prepared');
    const machine = await boot(sealed.root, { alter: (root) => alter(root, sealed), pin: sealed.pin });
    const healths = await healthUntilBooted(machine);
    expect(healths).toContain(503);
    expect(healths).not.toContain(200);
    expect(await machine.states(state)).not.toContain('trusted');
    expect(await machine.isActive('boot-complete.target')).toBe(false);
    expect(await machine.isActive('sealborn-drift.target')).toBe(true);
    const asked = [
      'ServiceAccount::checkout-web',
      'CreatePayment',
      'Ledger::main',
      '--context',
      '{"amount": 1}',
    ];
    expect(await machine.run('sealborn', 'ask', ...asked)).toMatchObject({ status: 1 });

    const host = await patiently('the report that says why', async () => {
      const seen = await machine.host();
      return seen?.state === state ? seen : undefined;
    });
    const { drift, reason } = host.verdict;
    expect(state === 'refused' ? [reason?.code] : drift.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      why,
    ]);
  });
});

/** Asks for the health all through the boot; gives every status that came. */
async function healthUntilBooted(machine: Machine): Promise<Set<number>> {
  const seen = new Set<number>();
  const over = machine.booted().then(() => true);
  const look = async (): Promise<boolean> => {
    seen.add(await machine.health());
    await sleep(10);
    return false;
  };
  while (!(await Promise.race([look(), over])));
  return seen.add(await machine.health());
}
