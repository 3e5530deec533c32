import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect } from 'vitest';

import { displayPath } from '../../src/base/display.ts';
import type { BytePath } from '../../src/base/byte-path.ts';
import type { Finding } from '../../src/base/finding.ts';
import { readNumbers } from '../../src/host/account-numbers.ts';
import { availableDigests } from '../../src/host/listing/content-digests.ts';
import { FindingList } from '../../src/host/measure/finding-list.ts';
import { inspectListed } from '../../src/host/listing/inspect-listed.ts';
import { listedUnits } from '../../src/host/listing/listing-job.ts';
import { measureTree } from '../../src/host/measure/measure-tree.ts';
import { shareUnits } from '../../src/host/listing/share-units.ts';
import { formatManifest } from '../../src/manifest/format.ts';
import { listedPath, walkListing } from '../../src/manifest/mtree/listing.ts';
import { readMtree } from '../../src/manifest/mtree/read-mtree.ts';
import { lackingProgram, needs } from '../support/needs.ts';
import { rulesWith } from '../support/rules.ts';

// NetBSD's mtree (Debian: mtree-netbsd) and libarchive's bsdtar (Debian: libarchive-tools), on trees of arbitrary
// names: what one writes the other reads, and both find the same changes.
const test = needs(lackingProgram('mtree', 'mtree-netbsd'), lackingProgram('bsdtar', 'libarchive-tools'));

const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env['RUNS'] ?? 4);
process.stderr.write(`mtree agreement: SEED=${SEED} RUNS=${RUNS}\n`);

type Kind = 'file' | 'dir' | 'link' | 'fifo';
/** `within` chooses one of the directories made before. */
type Wanted = { name: string; kind: Kind; content: string; mode: number; within: number };

/** Any bytes that a name may have; often ones that mean something to a reader of mtree. */
const byte = fc.oneof(
  fc.integer({ min: 1, max: 255 }),
  fc.constantFrom(...Buffer.from(' \t\n\r\\#*?[]=~-.0aM^$"\'%\u007f')),
);
const nameOf = (maxLength: number): fc.Arbitrary<string> =>
  fc
    .array(byte, { minLength: 1, maxLength })
    .map((bytes) => Buffer.from(bytes).toString('latin1').replaceAll('/', '_'))
    .filter((name) => name !== '.' && name !== '..');
const name = fc.oneof({ weight: 9, arbitrary: nameOf(8) }, { weight: 1, arbitrary: nameOf(255) });

const anyTree = fc.array(
  fc.record<Wanted>({
    name,
    kind: fc.constantFrom<Kind>('file', 'file', 'file', 'dir', 'dir', 'link', 'fifo'),
    content: nameOf(40),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    within: fc.nat(),
  }),
  { minLength: 5, maxLength: 30 },
);

/** Raw bytes of a path, since names need not be UTF-8. */
const raw = (path: string): Buffer => Buffer.from(path, 'latin1');

type Made = { path: string; kind: Kind };

/** Makes entries below `root`; the paths of those that were made, relative to it. */
function make(entries: readonly Wanted[], root: string): Made[] {
  const made = new Map<string, Made>();
  const directories = [''];
  for (const { name, kind, content, mode, within } of entries) {
    const directory = directories[within % directories.length] ?? '';
    const path = directory === '' ? name : `${directory}/${name}`;
    if (made.has(path) || path.length > 2000) continue;
    const full = raw(`${root}/${path}`);
    if (kind === 'dir') mkdirSync(full);
    else if (kind === 'link') symlinkSync(raw(content), full);
    else if (kind === 'file') writeFileSync(full, raw(content));
    else {
      // No argument of a program can hold bytes that are not UTF-8.
      execFileSync('mkfifo', [`${root}.fifo`]);
      renameSync(`${root}.fifo`, full);
    }
    if (kind !== 'link') chmodSync(full, kind === 'dir' ? mode | 0o700 : mode | 0o600);
    if (kind === 'dir') directories.push(path);
    made.set(path, { path, kind });
  }
  return [...made.values()];
}

/** What can be done to a tree, to an entry of which kinds, and the path where it shows. */
const CHANGES: Record<string, { of: Kind[]; change: (path: string) => void }> = {
  content: {
    of: ['file'],
    change: (path) => {
      const bytes = readFileSync(raw(path));
      bytes[0] = (bytes[0] ?? 0) ^ 1;
      writeFileSync(raw(path), bytes);
    },
  },
  length: { of: ['file'], change: (path) => appendFileSync(raw(path), 'x') },
  mode: {
    of: ['file', 'dir', 'fifo'],
    change: (path) => chmodSync(raw(path), (lstatSync(raw(path)).mode & 0o7777) ^ 0o022),
  },
  missing: { of: ['file', 'dir', 'link', 'fifo'], change: (path) => rmSync(raw(path), { recursive: true }) },
  type: {
    of: ['file', 'link', 'fifo'],
    change: (path) => {
      rmSync(raw(path));
      mkdirSync(raw(path));
    },
  },
  target: {
    of: ['link'],
    change: (path) => {
      rmSync(raw(path));
      symlinkSync('elsewhere/that/is/no/name', raw(path));
    },
  },
  nlink: { of: ['file'], change: (path) => linkSync(raw(path), `${place}/other-name`) },
};

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'sealborn-agreement-'));
});
afterEach(() => execFileSync('rm', ['-rf', place]));

/**
 * What not even its own writer's reader gets right. In relative form the names of directories stand raw in comments,
 * so that one with a newline ends its comment; and mtree mistakes the ends of its own escapes of some bytes (`\\M-#`,
 * `\\^\\`, `\\M^\\`, `\\M-\\`) for a comment or a line's end. And mtree takes a name for a pattern even where it is escaped.
 */
type Spared = { newlineInDirectories?: true; endsOfEscapes?: true; patterns?: true };

function spare(
  entries: readonly Wanted[],
  { newlineInDirectories, endsOfEscapes, patterns }: Spared,
): Wanted[] {
  const spared = (text: string): string =>
    endsOfEscapes === true ? text.replaceAll(/[\u001c\u009c\u00a3\u00dc]/g, '!') : text;
  return entries.map((entry) => {
    let { name } = entry;
    if (newlineInDirectories === true && entry.kind === 'dir') name = name.replaceAll('\n', '!');
    if (patterns === true) name = name.replaceAll(/[*?[]/g, '!');
    return { ...entry, name: spared(name), content: spared(entry.content) };
  });
}

type Built = { root: string; made: Made[] };

/** An empty place for each run, and the tree in it. */
function build(entries: readonly Wanted[]): Built {
  execFileSync('rm', ['-rf', place]);
  const root = join(place, 'root');
  mkdirSync(root, { recursive: true });
  return { root, made: make(entries, root) };
}

/** Findings of our check by a foreign manifest, in this thread. */
async function check(root: string, manifest: Buffer): Promise<Finding[]> {
  const descriptor = openSync(root, 'r');
  try {
    const accounts = { users: await readNumbers('/etc/passwd'), groups: await readNumbers('/etc/group') };
    const job = { root: descriptor, at: '2026-11-25T12:00:00Z', accounts, counters: new Float64Array(2) };
    const list = new FindingList();
    const units = listedUnits(readMtree(manifest), availableDigests());
    await shareUnits(units, [(unit) => Promise.resolve(inspectListed(job, unit, 0))], list);
    return list.first().map(({ finding }) => finding);
  } finally {
    closeSync(descriptor);
  }
}

function run(program: string, args: string[], cwd: string, input: Buffer = Buffer.alloc(0)): Buffer {
  const { stdout, stderr, status } = spawnSync(program, args, {
    cwd,
    input,
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${status} ${stderr.toString()}`);
  return stdout;
}

type Writer = { write: (root: string) => Buffer; spared: Spared };

const RELATIVE: Spared = { newlineInDirectories: true };
const DUMPED: Spared = { newlineInDirectories: true, endsOfEscapes: true };

const mtree =
  (...args: string[]) =>
  (root: string): Buffer =>
    run('mtree', args, root);
const dumped =
  (flag: string, digest: string) =>
  (root: string): Buffer =>
    run('mtree', [flag, '-K', digest], root, run('mtree', ['-c', '-K', digest], root));
const bsdtar =
  (format: string, options: string) =>
  (root: string): Buffer =>
    run('bsdtar', ['-cf', '-', `--format=${format}`, `--options=${options}`, '.'], root);

/** Everything that their programs write about a tree. */
const WRITERS: Record<string, Writer> = {
  'mtree -c': { write: mtree('-c', '-K', 'sha256'), spared: RELATIVE },
  'mtree -c -k all': { write: mtree('-c', '-k', 'all', '-R', 'flags,time'), spared: RELATIVE },
  'mtree -C': { write: dumped('-C', 'sha512'), spared: DUMPED },
  'mtree -D': { write: dumped('-D', 'sha1'), spared: DUMPED },
  bsdtar: { write: bsdtar('mtree', 'mtree:sha256'), spared: {} },
  'bsdtar all': { write: bsdtar('mtree', 'mtree:all,mtree:use-set'), spared: {} },
  'bsdtar indented': { write: bsdtar('mtree', 'mtree:indent,mtree:md5,mtree:use-set'), spared: {} },
  'bsdtar mtree-classic': { write: bsdtar('mtree-classic', 'mtree:cksum'), spared: RELATIVE },
};

/** A count of one is not stated by bsdtar. */
const writersFor = (what: string): [string, Writer][] =>
  Object.entries(WRITERS).filter(([writer]) => what !== 'nlink' || !writer.startsWith('bsdtar'));

/** What NetBSD's mtree has to say about a tree by a manifest. */
function askMtree(root: string, manifest: string): string {
  const { stdout, stderr } = spawnSync('mtree', ['-f', manifest, '-p', root], { encoding: 'latin1' });
  return `${stdout}${stderr}`;
}

const paths = (findings: readonly Finding[]): string[] => findings.map(({ path }) => path);
const shown = (path: string): string => `/${displayPath(path as BytePath)}`;

/** Changes one entry; the path where it shows, or undefined where there is none of its kind. */
function tamper({ root, made }: Built, what: string, at: number): string | undefined {
  const { of, change } = CHANGES[what] ?? { of: [], change: () => {} };
  const fit = made.filter(({ kind }) => of.includes(kind));
  const chosen = fit[at % Math.max(1, fit.length)];
  if (chosen === undefined) return undefined;
  change(`${root}/${chosen.path}`);
  return chosen.path;
}

const options = { seed: SEED, numRuns: RUNS };

describe('manifests of theirs, read by us', () => {
  test.each(Object.entries(WRITERS))(
    '%s: agrees with the tree that it was made of',
    async (_, { write, spared }) => {
      await fc.assert(
        fc.asyncProperty(anyTree, async (entries) => {
          const { root } = build(spare(entries, spared));
          expect(await check(root, write(root))).toEqual([]);
        }),
        options,
      );
    },
  );

  test.each(Object.keys(CHANGES))('each finds another %s', async (what) => {
    await fc.assert(
      fc.asyncProperty(
        anyTree,
        fc.nat(),
        fc.constantFrom(...writersFor(what)),
        async (entries, at, [, { write, spared }]) => {
          const built = build(spare(entries, spared));
          const manifest = write(built.root);
          const path = tamper(built, what, at);
          if (path === undefined) return;
          expect(paths(await check(built.root, manifest))).toContain(shown(path));
        },
      ),
      options,
    );
  });
});

describe('our manifests, read by them', () => {
  const write = async (root: string): Promise<string> => {
    const manifest = join(place, 'manifest.mtree');
    const { entries } = await measureTree({
      root,
      rules: rulesWith({ bundle: '/bundle-to-come' }),
      workers: 1,
    });
    writeFileSync(manifest, formatManifest(entries.filter(({ path }) => path !== 'bundle-to-come')));
    return manifest;
  };

  test("NetBSD's mtree agrees with the tree, and finds what was changed as we do", async () => {
    await fc.assert(
      fc.asyncProperty(
        anyTree,
        fc.nat(),
        fc.constantFrom(...Object.keys(CHANGES)),
        async (entries, at, what) => {
          const built = build(spare(entries, { patterns: true }));
          const manifest = await write(built.root);
          expect(askMtree(built.root, manifest)).toBe('');
          const path = tamper(built, what, at);
          if (path === undefined) return;
          expect(askMtree(built.root, manifest)).not.toBe('');
          expect(paths(await check(built.root, readFileSync(manifest)))).toContain(shown(path));
        },
      ),
      options,
    );
  });

  test('bsdtar reads the same paths, and what it writes of them says the same', async () => {
    await fc.assert(
      fc.asyncProperty(anyTree, async (entries) => {
        const { root } = build(entries);
        const manifest = await write(root);
        const keywords = '!all,type,mode,uid,gid,size,link,sha256';
        const again = run(
          'bsdtar',
          [
            '-cf',
            '-',
            '--format=mtree',
            `--options=mtree:${keywords.replaceAll(',', ',mtree:')}`,
            `@${manifest}`,
          ],
          root,
        );
        const ours = readMtree(readFileSync(manifest));
        const theirs = new Map(
          [...walkListing(readMtree(again))].map((entry) => [listedPath(entry), entry.stated]),
        );
        expect([...theirs.keys()]).toEqual([...walkListing(ours)].map(listedPath));
        for (const entry of walkListing(ours)) {
          const { nlink: _, ...said } = entry.stated ?? {};
          expect(theirs.get(listedPath(entry))).toEqual(said);
        }
      }),
      options,
    );
  });
});
