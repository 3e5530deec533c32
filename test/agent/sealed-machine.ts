import { appendFile, chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { onTestFinished } from 'vitest';

import { type AgentSettings, parseSettings } from '../../src/agent/settings.ts';
import type { PrivateKey } from '../../src/base/ed25519.ts';
import type { MeasureRules } from '../../src/base/measure-rules.ts';
import { produceBundle, signRelease } from '../../src/bundle/produce.ts';
import type { ReleasePredicate } from '../../src/bundle/statement.ts';
import { writeBundleDirectory } from '../../src/host/bundle-directory.ts';
import { measureTree } from '../../src/host/measure/measure-tree.ts';
import { requestUnix } from '../../src/host/net/unix-http.ts';
import { formatManifest } from '../../src/manifest/format.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import { formatPolicyDocument } from '../../src/policy/document.ts';
import { PREDICATE, newKey, trustYaml } from '../bundle/bundle-fixture.ts';
import { until } from './until.ts';

const POLICY = compilePolicy({
  schema: {
    file: 'schema.cedarschema',
    text: 'entity User; entity Document; action ReadDocument, DeleteDocument appliesTo { principal: User, resource: Document };',
  },
  policies: [
    {
      file: 'policies/documents.cedar',
      text: [
        '// Ana reads.',
        '',
        '@id("read") permit (principal == User::"ana", action == Action::"ReadDocument", resource);',
        '',
        '// Nobody does anything to this one.',
        '',
        '@id("secret") forbid (principal, action, resource == Document::"secret");',
      ].join('\n'),
    },
  ],
  entities: [],
});

export type Sealing = {
  /** Keys that sign; the first is the only one trusted unless `trusted` says otherwise. */
  signers?: PrivateKey[];
  trusted?: (PrivateKey | string)[];
  threshold?: number;
  minimumSequence?: number;
  predicate?: Partial<ReleasePredicate>;
  policy?: Buffer;
  manifest?: (right: Buffer) => Buffer;
  /** Puts bundle and trust.yaml beside the image instead of into it. */
  beside?: boolean;
  /** By default a sweep follows the other. */
  sweepSeconds?: number;
};

/** A small image on disk, sealed by the pieces that the pipeline uses, and the settings of an agent for it. */
export type SealedMachine = {
  directory: string;
  root: string;
  bundle: string;
  trust: string;
  key: PrivateKey;
  settings: (yaml?: string) => AgentSettings;
  /** The settings as a file, for an agent that runs as a process. */
  settingsFile: (yaml?: string) => Promise<string>;
  /** The path of a file in the image. */
  file: (path: string) => string;
  /** Changes one byte of a program, and back. */
  tamper: () => Promise<() => Promise<void>>;
  /** Builds, signs and puts into place another release of the same image. */
  reseal: (sealing?: Sealing) => Promise<void>;
};

/** `whenDone` takes what cleans up: by default it is done when the test that calls this ends. */
export async function sealMachine(
  sealing: Sealing = {},
  whenDone: (clean: () => Promise<void>) => void = onTestFinished,
): Promise<SealedMachine> {
  const directory = await mkdtemp(join(tmpdir(), 'sealborn-'));
  whenDone(() => rm(directory, { recursive: true, force: true }));
  const key = newKey();
  const root = join(directory, 'image');
  const place = sealing.beside === true ? join(directory, 'beside') : join(root, 'usr/share/sealborn');
  const machine = { bundle: join(place, 'bundle'), trust: join(place, 'trust.yaml') };
  await makeImage(root);
  await mkdir(machine.bundle, { recursive: true });
  const seal = (how: Sealing): Promise<void> => sealImage(root, machine, key, how);
  await seal(sealing);
  const yaml = (more: string): string =>
    [
      `root: ${root}`,
      `bundle: ${machine.bundle}`,
      `trust: ${machine.trust}`,
      `runDirectory: ${join(directory, 'run')}`,
      `stateDirectory: ${join(directory, 'state')}`,
      `logDirectory: ${join(directory, 'log')}`,
      `sweepSeconds: ${sealing.sweepSeconds ?? 0.1}`,
      'workers: 1',
      'health: {listen: "127.0.0.1:0"}',
      more,
    ].join('\n');
  const file = (path: string): string => join(root, path);
  return {
    directory,
    root,
    ...machine,
    key,
    file,
    settings: (more = '') => parseSettings(Buffer.from(yaml(more)), 'agent.yaml'),
    settingsFile: async (more = '') => {
      const path = join(directory, 'agent.yaml');
      await writeFile(path, yaml(more));
      return path;
    },
    tamper: async () => {
      const before = await readFile(file('usr/bin/app'));
      const changed = Buffer.from(before);
      changed[0] = (changed[0] ?? 0) ^ 1;
      await writeFile(file('usr/bin/app'), changed);
      return () => writeFile(file('usr/bin/app'), before);
    },
    reseal: (how = {}) => seal(how),
  };
}

async function makeImage(root: string): Promise<void> {
  await mkdir(join(root, 'usr/bin'), { recursive: true });
  await mkdir(join(root, 'usr/share/sealborn'), { recursive: true });
  await mkdir(join(root, 'etc'));
  await mkdir(join(root, 'tmp'));
  await writeFile(join(root, 'usr/bin/app'), Buffer.alloc(100_000, 'program'));
  await chmod(join(root, 'usr/bin/app'), 0o755);
  await symlink('app', join(root, 'usr/bin/link'));
  await writeFile(join(root, 'etc/app.conf'), 'setting: 1\n');
  await writeFile(join(root, 'etc/\u202eevil\n.conf'), 'x');
}

async function sealImage(
  root: string,
  machine: { bundle: string; trust: string },
  key: PrivateKey,
  sealing: Sealing,
): Promise<void> {
  const { signers = [key], trusted = [key], policy = formatPolicyDocument(POLICY) } = sealing;
  const rules: MeasureRules = sealing.predicate?.measure ?? PREDICATE.measure;
  await writeFile(
    machine.trust,
    trustYaml(trusted, {
      threshold: sealing.threshold ?? 1,
      ...(sealing.minimumSequence === undefined ? {} : { minimumSequence: sealing.minimumSequence }),
    }),
  );
  const tree = await measureTree({ root, rules, workers: 1 });
  const right = formatManifest(tree.entries);
  const files = produceBundle(
    { ...PREDICATE, measure: rules, ...sealing.predicate },
    policy,
    sealing.manifest?.(right) ?? right,
  );
  const release = signers.reduce((bytes, signer) => signRelease(bytes, signer), files['release.dsse.json']);
  await writeBundleDirectory(machine.bundle, { ...files, 'release.dsse.json': release });
}

/** One byte more at the end of a file. */
export async function append(path: string): Promise<void> {
  await appendFile(path, '\n');
}

type Json = { readonly [field: string]: unknown };

/** Asks whether `subject` may do `action` on a document. */
export async function ask(
  socket: string,
  action = 'ReadDocument',
  id = 'd1',
  subject = 'ana',
): Promise<Json> {
  const body = JSON.stringify({
    subject: { type: 'User', id: subject },
    action: { name: action },
    resource: { type: 'Document', id },
  });
  const headers = { 'content-type': 'application/json' };
  const answer = await requestUnix(
    socket,
    { method: 'POST', path: '/access/v1/evaluation', headers, body },
    5000,
  );
  if (answer.status !== 200) throw new Error(`${answer.status}: ${String(answer.body)}`);
  return JSON.parse(String(answer.body)) as Json;
}

export async function status(socket: string): Promise<Json> {
  const answer = await requestUnix(socket, { method: 'GET', path: '/status' }, 5000);
  return JSON.parse(String(answer.body)) as Json;
}

export async function health(port: number, path = '/healthz'): Promise<{ status: number; body: string }> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { redirect: 'manual' });
  return { status: answer.status, body: await answer.text() };
}

/** Waits until the agent says this state of itself. */
export async function untilState(socket: string, state: string, ms?: number): Promise<Json> {
  return until(
    `state ${state}`,
    async () => {
      const now = await status(socket).catch(() => undefined);
      return now?.['state'] === state ? now : undefined;
    },
    ms,
  );
}
