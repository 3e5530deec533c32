import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { TestProject } from 'vitest/node';

import { messageOf } from '../../../src/base/errors.ts';
import { PACKAGES, debianRoot } from '../debian-root.ts';
import { installPackage } from '../install.ts';
import { type Keys, bakeTrust, newKeys, policyRepository, seal } from '../pipeline.ts';
import { debianKernel } from '../emulator/kernel.ts';
import { NO_CONTAINER, NO_EMULATOR } from '../requirements.ts';

/** A sealed image as a directory, and what it was sealed with. Tests boot copies of it. */
export type Sealed = { root: string; policy: string; keys: Keys; pin: string };

declare module 'vitest' {
  export interface ProvidedContext {
    sealed: Sealed | undefined;
    /** Why nothing can be booted in a container here; undefined where it can. */
    noContainer: string | undefined;
    /** The same of an emulated machine. */
    noEmulator: string | undefined;
  }
}

/** Before all tests that boot: Debian, sealborn's package, a signed release, once for all of them. */
export default async function prepare(vitest: TestProject): Promise<(() => void) | undefined> {
  vitest.provide('sealed', undefined);
  const tar = NO_CONTAINER === undefined ? offered(() => debianRoot(PACKAGES).tar) : { why: NO_CONTAINER };
  const lack = typeof tar === 'string' ? undefined : tar.why;
  vitest.provide('noContainer', lack);
  const kernel = (lack ?? NO_EMULATOR) === undefined ? offered(() => debianKernel().package) : undefined;
  vitest.provide('noEmulator', lack ?? NO_EMULATOR ?? (typeof kernel === 'string' ? undefined : kernel?.why));
  if (typeof tar !== 'string') return undefined;
  const place = mkdtempSync(join(tmpdir(), 'sealborn-boot-'));
  const remove = (): void => rmSync(place, { recursive: true, force: true });
  try {
    const root = join(place, 'root');
    mkdirSync(root);
    execFileSync('tar', ['-xpf', tar, '-C', root]);
    await installPackage(root);
    settle(root);
    const policy = policyRepository(join(place, 'policy'));
    const keys = newKeys(join(place, 'release'));
    const pin = bakeTrust(root, keys);
    seal(root, policy, 'production', keys);
    vitest.provide('sealed', { root, policy, keys, pin });
    return remove;
  } catch (thrown) {
    remove();
    throw thrown;
  }
}

/** A file of Debian's; or why there is none, which is no fault of what is tested. */
function offered(get: () => string): string | { why: string } {
  try {
    return get();
  } catch (thrown) {
    return { why: `no Debian from this machine's package sources: ${messageOf(thrown)}` };
  }
}

/** What makes a machine of a Debian root: names, settings, and that a boot is to be complete. */
function settle(root: string): void {
  // mmdebstrap leaves both as they are on the machine that builds.
  rmSync(join(root, 'etc/hostname'));
  writeFileSync(join(root, 'etc/hostname'), 'sealed\n', { mode: 0o644 });
  rmSync(join(root, 'etc/resolv.conf'), { force: true });
  writeFileSync(
    join(root, 'etc/sealborn/agent.yaml'),
    'collector:\n  url: http://127.0.0.1:9190\n  splaySeconds: 0\nlabels:\n  role: payments\n',
  );
  // As the generator of systemd-bless-boot does where the boot loader counts boots.
  execFileSync('systemctl', ['--root', root, 'add-wants', 'multi-user.target', 'boot-complete.target'], {
    stdio: 'ignore',
  });
}
