import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { alignWith, parseScript } from './script.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const SCRIPTS = fileURLToPath(new URL('scripts', import.meta.url));

describe('command line scripts', () => {
  let bin: string;
  beforeAll(() => {
    bin = mkdtempSync(join(tmpdir(), 'sealborn-bin-'));
    writeFileSync(
      join(bin, 'sealborn'),
      `#!/bin/sh\nexec '${process.execPath}' '${PROJECT}src/main.ts' "$@"\n`,
    );
    chmodSync(join(bin, 'sealborn'), 0o755);
  });
  afterAll(() => rmSync(bin, { recursive: true, force: true }));

  it.for(readdirSync(SCRIPTS))('%s', { timeout: 240_000 }, (name, context) => {
    const text = readFileSync(join(SCRIPTS, name), 'utf8');
    for (const [, program = ''] of text.matchAll(/^# needs: (\S+)$/gm)) {
      if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0) {
        process.stderr.write(`skipped: ${name} needs ${program}\n`);
        context.skip(`needs ${program}`);
      }
    }
    const steps = parseScript(text);
    const place = mkdtempSync(join(tmpdir(), 'sealborn-cli-'));
    mkdirSync(join(place, 'home'));
    try {
      for (const step of steps) {
        const { status, stdout, stderr } = spawnSync('/bin/sh', ['-c', step.command], {
          cwd: place,
          encoding: 'utf8',
          env: {
            PATH: `${bin}:${process.env['PATH'] ?? ''}`,
            HOME: join(place, 'home'),
            PROJECT: PROJECT.replace(/\/$/, ''),
            GIT_AUTHOR_NAME: 'Test',
            GIT_AUTHOR_EMAIL: 'test@example.org',
            GIT_COMMITTER_NAME: 'Test',
            GIT_COMMITTER_EMAIL: 'test@example.org',
            GIT_AUTHOR_DATE: '2026-11-23T12:00:00Z',
            GIT_COMMITTER_DATE: '2026-11-23T12:00:00Z',
            LC_ALL: 'C',
          },
        });
        const where = `${name}:${step.line}: ${step.command}`;
        expect({
          where,
          exitCode: status,
          stdout: alignWith(stdout, step.stdout),
          stderr: alignWith(stderr, step.stderr),
        }).toEqual({ where, exitCode: step.exitCode, stdout: step.stdout, stderr: step.stderr });
      }
      expect(steps.length).toBeGreaterThan(0);
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  });
});
