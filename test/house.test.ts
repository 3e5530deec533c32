import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { VERSION } from '../src/base/version.ts';

const run = promisify(execFile);
const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const FLOORS = [
  ['base'],
  ['bundle', 'manifest', 'policy', 'access', 'attestation'],
  ['host', 'client'],
  ['release', 'agent', 'collector'],
  ['cli'],
];
const ROOMS = FLOORS.flat();

const sources = readdirSync(join(PROJECT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file: `src/${file}`, text: readFileSync(join(PROJECT, 'src', file), 'utf8') }));

describe('the house', () => {
  it('has the rooms that docs/architecture.md draws, and no other', () => {
    const there = readdirSync(join(PROJECT, 'src')).filter((name) => !/^main(-[a-z]+)?\.ts$/.test(name));
    expect(there.toSorted()).toEqual(ROOMS.toSorted());
  });

  it('has the rooms within rooms that docs/architecture.md lists', () => {
    const map = readFileSync(join(PROJECT, 'docs/architecture.md'), 'utf8');
    const there = new Set(sources.map(({ file }) => dirname(file).slice('src/'.length)));
    for (const room of ['host', 'agent']) {
      const listed = [...map.matchAll(new RegExp(`^\\| \x60(${room}/\\w+)/\x60`, 'gm'))].map(
        ([, name]) => name ?? '',
      );
      const inside = [...there].filter((name) => name.startsWith(`${room}/`));
      expect(inside.toSorted()).toEqual(listed.toSorted());
    }
  });

  it('has no source file over 400 lines and no barrel', () => {
    const crowded = sources.filter(({ text }) => text.split('\n').length > 400).map(({ file }) => file);
    expect(crowded).toEqual([]);
    expect(sources.filter(({ file }) => basename(file) === 'index.ts')).toEqual([]);
  });

  it('lets dynamic imports and worker files obey the floors too, which the linter does not see', () => {
    const wrong: string[] = [];
    let seen = 0;
    for (const { file, text } of sources) {
      const room = file.split('/')[1] ?? '';
      const floor = FLOORS.findIndex((rooms) => rooms.includes(room));
      for (const [, target] of text.matchAll(/(?:import\(|new URL\()\s*'(\.\.?\/[^']+)'/g)) {
        seen += 1;
        const other = join(dirname(file), target ?? '').split('/')[1] ?? '';
        const otherFloor = FLOORS.findIndex((rooms) => rooms.includes(other));
        if (other !== room && otherFloor >= floor && !file.startsWith('src/main'))
          wrong.push(`${file} -> ${target ?? ''}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(seen).toBeGreaterThan(5);
  });

  it('keeps cedar-wasm in one file, off the host', () => {
    const importing = sources.filter(({ text }) => text.includes("'@cedar-policy/")).map(({ file }) => file);
    expect(importing).toEqual(['src/policy/cedar-wasm.ts']);
  });

  it('lets the agent reach cedar-wasm by no import', () => {
    const byFile = new Map(sources.map(({ file, text }) => [file, text]));
    const reached = new Set<string>();
    const visit = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const [, target] of (byFile.get(file) ?? '').matchAll(/(?:from|import)\s*\(?'(\.\.?\/[^']+)'/g)) {
        visit(join(dirname(file), target ?? ''));
      }
    };
    for (const { file } of sources) if (file.startsWith('src/agent/')) visit(file);
    expect(reached).toContain('src/policy/engine.ts');
    expect(reached).not.toContain('src/policy/cedar-wasm.ts');
  });

  it('has a lock file that npm ci takes where a registry lacks some bindings (scripts/tidy-lock.ts)', () => {
    const { packages } = JSON.parse(readFileSync(join(PROJECT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { optionalDependencies?: Record<string, string>; resolved?: string }>;
    };
    const lacking = Object.entries(packages).flatMap(([place, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) => !(`node_modules/${name}` in packages || `${place}/node_modules/${name}` in packages),
      ),
    );
    expect(lacking).toEqual([]);
    expect(Object.values(packages).filter(({ resolved }) => resolved !== undefined)).toEqual([]);
  });

  it('has one version', () => {
    const { version } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(VERSION).toBe(version);
  });
});

describe('the linter', () => {
  let place: string;
  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), 'sealborn-lint-'));
    for (const file of ['.oxlintrc.json', 'tsconfig.json', 'package.json']) {
      cpSync(join(PROJECT, file), join(place, file));
    }
    symlinkSync(join(PROJECT, 'node_modules'), join(place, 'node_modules'));
    for (const room of ROOMS) {
      mkdirSync(join(place, 'src', room), { recursive: true });
      writeFileSync(join(place, 'src', room, 'thing.ts'), 'export const thing = 1;\n');
    }
  });
  afterAll(() => rmSync(place, { recursive: true, force: true }));

  /** Plants one file for each import, lints them at once, and gives the imports that were refused. */
  async function refusedOf(
    imports: readonly (readonly [room: string, imported: string])[],
  ): Promise<string[]> {
    const files = imports.map(([room], index) => join('src', room, `planted-${index}.ts`));
    for (const [index, [, imported]] of imports.entries()) {
      const text = `import { thing } from '${imported}';\n\nexport const other: number = thing + 1;\n`;
      writeFileSync(join(place, files[index] ?? ''), text);
    }
    try {
      const { diagnostics } = JSON.parse(await lintedJson()) as {
        diagnostics: { code: string; filename: string }[];
      };
      const refused = new Set(
        diagnostics
          .filter(({ code }) => code.includes('no-restricted-imports'))
          .map(({ filename }) => filename),
      );
      return imports
        .filter((_, index) => refused.has(files[index] ?? ''))
        .map(([room, imported]) => `${room} -> ${imported}`);
    } finally {
      for (const file of files) rmSync(join(place, file));
    }
  }

  async function lintedJson(): Promise<string> {
    try {
      const linter = join(PROJECT, 'node_modules/.bin/oxlint');
      return (await run(linter, ['--format', 'json', 'src'], { cwd: place, maxBuffer: 2 ** 26 })).stdout;
    } catch (thrown) {
      return (thrown as { stdout: string }).stdout;
    }
  }

  const upward = FLOORS.flatMap((rooms, floor) =>
    rooms.flatMap((room) =>
      FLOORS.slice(floor + 1).flatMap((above) => above.map((other) => [room, other] as const)),
    ),
  );
  const sideways = FLOORS.flatMap((rooms) =>
    rooms.flatMap((room) => rooms.filter((other) => other !== room).map((other) => [room, other] as const)),
  );
  it('refuses every planted upward import and every import between two rooms of one floor', async () => {
    const planted = [...upward, ...sideways].map(([room, other]) => [room, `../${other}/thing.ts`] as const);
    expect(planted.length).toBeGreaterThan(40);
    expect(await refusedOf(planted)).toEqual(planted.map(([room, imported]) => `${room} -> ${imported}`));
  });

  it('refuses main.ts, Node modules in a pure room and cedar-wasm outside the pipeline, and lets downward imports pass', async () => {
    const refused = [
      ['cli', '../main.ts'],
      ['bundle', 'node:fs'],
      ['agent', '@cedar-policy/cedar-wasm/nodejs'],
    ] as const;
    const downward = [
      ['cli', '../agent/thing.ts'],
      ['agent', '../host/thing.ts'],
      ['host', '../manifest/thing.ts'],
      ['policy', '../base/thing.ts'],
    ] as const;
    expect(await refusedOf([...refused, ...downward])).toEqual(
      refused.map(([room, imported]) => `${room} -> ${imported}`),
    );
  });
});
