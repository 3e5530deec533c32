import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { startMeasuring } from '../agent/start-measuring.ts';
import type { Verdict } from '../../src/attestation/verdict.ts';
import { sha256 } from '../../src/base/digest.ts';
import { formatEnvelope, parseEnvelope, preAuthEncoding } from '../../src/base/dsse.ts';
import { runCli } from '../../src/cli/program.ts';
import { HOST_PROGRAM } from '../../src/cli/programs/host.ts';
import { processTerminal } from '../../src/cli/terminal.ts';
import { type SealedMachine, type Sealing, sealMachine } from '../agent/sealed-machine.ts';
import { newKey } from '../bundle/bundle-fixture.ts';
import {
  KNOWN_KEY,
  MIXED_ORDER,
  ORDER_8,
  addOrder,
  pemOfRaw,
  signNonCanonical,
  signWithOffset,
} from '../support/crafted-signatures.ts';

const terminal = processTerminal();
const [a, b] = [newKey(), newKey()];

/** What the agent comes to say of a machine that boots. */
async function boot(
  machine: SealedMachine,
  now: () => Date = () => new Date(),
  environment: NodeJS.ProcessEnv = {},
): Promise<Verdict> {
  const measurer = await startMeasuring(machine, { now, environment });
  await measurer.settled;
  return measurer.verdict();
}

/** What `sealborn verify` says of the bundle: its exit code, and the code of the refusal. */
async function verify(machine: SealedMachine, ...flags: string[]): Promise<[exit: number, code: string]> {
  let output = '';
  const words = ['verify', machine.bundle, '--trust', machine.trust, '--json', ...flags];
  const exit = await runCli(HOST_PROGRAM, words, {
    ...terminal,
    out: (text) => (output += text),
    err: () => undefined,
    interactive: false,
  });
  return [exit, (JSON.parse(output) as { error?: { code: string } }).error?.code ?? 'good'];
}

const edit = (from: string | RegExp, to: string): Sealing => ({
  manifest: (right) => {
    const edited = right.toString('latin1').replace(from, to);
    if (edited === right.toString('latin1')) throw new Error('nothing was edited');
    return Buffer.from(edited, 'latin1');
  },
});

/** Puts another signature into the envelope, made from the bytes that are signed. */
function resign(machine: SealedMachine, forge: (message: Buffer, right: Buffer) => Uint8Array): void {
  const path = join(machine.bundle, 'release.dsse.json');
  const envelope = parseEnvelope(readFileSync(path), 'envelope', 2 ** 20);
  const message = preAuthEncoding(envelope.payloadType, envelope.payload);
  const right = envelope.signatures[0]?.sig ?? Buffer.alloc(64);
  const sig = Buffer.from(forge(message, right));
  writeFileSync(path, formatEnvelope({ ...envelope, signatures: [{ keyid: undefined, sig }] }));
}

function changeByte(path: string): void {
  const bytes = readFileSync(path);
  const at = bytes.indexOf('"payload"') + 40;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

const known: Sealing = { trusted: [pemOfRaw(KNOWN_KEY)] };
const twoOfTwo: Sealing = { trusted: [a, b], threshold: 2 };
type Case = [row: number, words: string, code: string, how: Sealing, damage?: (m: SealedMachine) => void];

const REFUSED: Case[] = [
  [31, 'a manifest with ".." in a path', 'manifest-path-escapes', edit('./etc/app.conf', './../app.conf')],
  [32, 'a manifest with an absolute path', 'manifest-path-absolute', edit('./etc/app.conf', '/etc/app.conf')],
  [33, 'a manifest with a duplicate', 'manifest-duplicate', edit(/(\.\/etc\/app\.conf.*\n)/, '$1$1')],
  [
    34,
    'a manifest with an entry below a link',
    'manifest-below-non-directory',
    edit(/(\.\/usr\/bin\/)app( .*\n)(\.\/usr\/bin\/link .*\n)/, '$3$1link/app$2'),
  ],
  [35, 'an older bundle, below minimumSequence', 'sequence-too-old', { minimumSequence: 8 }],
  [36, 'a bundle for another environment', 'environment-mismatch', { predicate: { environment: 'staging' } }],
  [37, 'a wrong key', 'threshold-not-met', { signers: [newKey()] }],
  [37, 'a removed key', 'threshold-not-met', { signers: [a], trusted: [b] }],
  [37, 'no signature', 'unsigned', { signers: [] }],
  [37, 'k-1 of k signatures', 'threshold-not-met', { ...twoOfTwo, signers: [a] }],
  [37, 'one key that signs twice', 'threshold-not-met', { ...twoOfTwo, signers: [a] }, signTwice],
  [38, 'a small-order key in the trust set', 'trust-key-weak', { trusted: [pemOfRaw(ORDER_8.toBytes())] }],
  [39, 'a signature with S + L', 'threshold-not-met', {}, (m) => resign(m, (_, right) => addOrder(right))],
  [39, 'a non-canonical R', 'threshold-not-met', known, (m) => resign(m, signNonCanonical)],
  [
    39,
    'a signature that only the cofactored equation accepts',
    'threshold-not-met',
    known,
    (m) => resign(m, (message) => signWithOffset(message, ORDER_8)),
  ],
  [40, 'a mixed-order key', 'trust-key-weak', { trusted: [pemOfRaw(MIXED_ORDER.toBytes())] }],
  [45, 'no manifest', 'bundle-file-missing', {}, (m) => rmSync(join(m.bundle, 'manifest.mtree'))],
  [45, 'no policy', 'bundle-file-missing', {}, (m) => rmSync(join(m.bundle, 'policy.json'))],
  [45, 'no envelope', 'bundle-file-missing', {}, (m) => rmSync(join(m.bundle, 'release.dsse.json'))],
  [45, 'an extra file', 'bundle-file-unexpected', {}, (m) => writeFileSync(join(m.bundle, 'extra'), '')],
  [45, 'a byte in the manifest', 'digest-mismatch', {}, (m) => appendTo(m, 'manifest.mtree')],
  [45, 'a byte in the policy', 'digest-mismatch', {}, (m) => appendTo(m, 'policy.json')],
  [
    45,
    'a byte in the envelope',
    'threshold-not-met',
    {},
    (m) => changeByte(join(m.bundle, 'release.dsse.json')),
  ],
];

function appendTo(machine: SealedMachine, name: string): void {
  appendFileSync(join(machine.bundle, name), '\n');
}

function signTwice(machine: SealedMachine): void {
  const path = join(machine.bundle, 'release.dsse.json');
  const envelope = parseEnvelope(readFileSync(path), 'envelope', 2 ** 20);
  const [first] = envelope.signatures;
  if (first === undefined) throw new Error('there is no signature to repeat');
  const signatures = [first, { ...first, keyid: b.publicKey.id }];
  writeFileSync(path, formatEnvelope({ ...envelope, signatures }));
}

describe('attack table: the bundle, as the agent and "sealborn verify" take it', () => {
  test.each(REFUSED)('%i: %s: refused', async (_, __, code, sealing, damage) => {
    const machine = await sealMachine(sealing);
    damage?.(machine);
    const [verdict, said] = await Promise.all([boot(machine), verify(machine)]);
    expect(verdict).toMatchObject({ state: 'refused', reason: { code } });
    expect(said).toEqual([2, code]);
  });

  test('37: two of two keys: taken', async () => {
    const machine = await sealMachine({ ...twoOfTwo, signers: [a, b] });
    expect((await boot(machine)).state).toBe('trusted');
    expect(await verify(machine, '--root', machine.root)).toEqual([0, 'good']);
  });

  test('39: the crafted key signs as others do where its signature is right', async () => {
    const machine = await sealMachine(known);
    resign(machine, (message) => signWithOffset(message, ORDER_8.subtract(ORDER_8)));
    expect(await verify(machine)).toEqual([0, 'good']);
  });

  test('43: trust.yaml replaced, with a bundle that fits it, while a pin is given: refused', async () => {
    const machine = await sealMachine();
    const pin = `sha256:${sha256(readFileSync(machine.trust))}`;
    writeFileSync(join(machine.directory, 'sealborn.trust'), pin);
    expect(await verify(machine, '--pin', pin)).toEqual([0, 'good']);
    renameSync(machine.trust, join(machine.directory, 'old.yaml'));
    await machine.reseal({ signers: [a], trusted: [a] });
    expect(await verify(machine)).toEqual([0, 'good']);
    expect(await verify(machine, '--pin', pin)).toEqual([2, 'trust-pin-mismatch']);
    const environment = { CREDENTIALS_DIRECTORY: machine.directory };
    expect(await boot(machine, undefined, environment)).toMatchObject({
      state: 'refused',
      reason: { code: 'trust-pin-mismatch' },
    });
  });
});

describe('attack table: the clock', () => {
  test.each(['1970-01-01T00:00:00Z', '2100-01-01T00:00:00Z'])(
    '41: %s at boot: verdict unchanged',
    async (time) => {
      const now = (): Date => new Date(time);
      const good = await sealMachine();
      expect((await boot(good, now)).state).toBe('trusted');
      const bad = await sealMachine();
      await bad.tamper();
      expect(await boot(bad, now)).toMatchObject({
        state: 'drifted',
        drift: [{ kind: 'modified', path: '/usr/bin/app', at: now().toISOString() }],
      });
      const older = await sealMachine({ minimumSequence: 8 });
      expect(await boot(older, now)).toMatchObject({
        state: 'refused',
        reason: { code: 'sequence-too-old' },
      });
    },
  );
});
