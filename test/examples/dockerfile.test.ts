import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';

import { hasProgram } from '../support/has-program.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const TESTS = join(PROJECT, 'packaging/test');
const text = readFileSync(join(PROJECT, 'Dockerfile.test'), 'utf8');
/** Instructions, each on one line. */
const instructions = text
  .replaceAll('\\\n', ' ')
  .split('\n')
  .filter((line) => /^[A-Z]/.test(line));

function scratch(): string {
  const place = mkdtempSync(join(tmpdir(), 'sealborn-dockerfile-'));
  onTestFinished(() => rmSync(place, { recursive: true, force: true }));
  return place;
}

describe('Dockerfile.test', () => {
  it('copies what is in the project, and from stages that it has before', () => {
    const stages = new Set<string>();
    let copied = 0;
    for (const line of instructions) {
      const from = /^(?:COPY|RUN) --(?:mount=type=bind,)?from=([a-z]+)/.exec(line)?.[1];
      if (from !== undefined) expect(stages, line).toContain(from);
      else if (line.startsWith('COPY ')) {
        const [, source = ''] = line.split(/\s+/);
        expect(existsSync(join(PROJECT, source)), line).toBe(true);
        copied += 1;
      }
      const stage = /^FROM \S+ AS ([a-z]+)$/.exec(line)?.[1];
      if (stage !== undefined) stages.add(stage);
    }
    expect([...stages]).toEqual(['package', 'pipeline', 'root', 'seal']);
    expect(copied).toBeGreaterThan(2);
  });

  it('adds nothing to the image after it was measured but the bundle', () => {
    const last = instructions.slice(instructions.lastIndexOf('FROM root') + 1);
    expect(last.filter((line) => /^(?:COPY|ADD|RUN)/.test(line))).toEqual([
      'COPY --from=seal /bundle /usr/share/sealborn/bundle',
    ]);
  });

  it.skipIf(!hasProgram('shellcheck'))('runs shell that shellcheck has nothing to say to', () => {
    const runs = instructions
      .filter((line) => line.startsWith('RUN '))
      .map((line) => line.replace(/^RUN (?:--\S+\s+)*/, ''));
    expect(runs.length).toBeGreaterThan(4);
    for (const script of runs) {
      const said = spawnSync('shellcheck', ['--shell=sh', '-'], { input: `${script}\n`, encoding: 'utf8' });
      expect(said.stdout, script).toBe('');
    }
  });

  it('measures /usr alone, as a container must', () => {
    const file = join(scratch(), 'sealborn.yaml');
    copyFileSync(join(PROJECT, 'examples/payments/sealborn.yaml'), file);
    execFileSync(process.execPath, [join(TESTS, 'measure-usr.mjs'), file]);
    const before = parse(readFileSync(join(PROJECT, 'examples/payments/sealborn.yaml'), 'utf8')) as object;
    expect(parse(readFileSync(file, 'utf8'))).toEqual({ ...before, measure: { roots: ['/usr'] } });
  });

  it.skipIf(!hasProgram('systemd-analyze'))(
    'starts its tests by a unit that systemd-analyze verify takes',
    () => {
      const place = scratch();
      const unit = readFileSync(join(TESTS, 'agent-tests.service'), 'utf8');
      const file = join(place, 'agent-tests.service');
      writeFileSync(file, unit.replace('/usr/lib/sealborn-test/', `${TESTS}/`));
      const said = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
      expect(said.stdout + said.stderr).toBe('');
    },
  );
});
