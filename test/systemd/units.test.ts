import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const UNITS = fileURLToPath(new URL('../../systemd', import.meta.url));
const names = readdirSync(UNITS).filter((name) => name.endsWith('.service'));

function hasSystemdAnalyze(): boolean {
  try {
    execFileSync('systemd-analyze', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    process.stderr.write('skipped: systemd-analyze is not installed\n');
    return false;
  }
}

describe('systemd units', () => {
  let place: string;
  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), 'sealborn-units-'));
    // The program is not installed where the units name it; any executable will do for the check.
    for (const name of names) {
      const text = readFileSync(join(UNITS, name), 'utf8');
      writeFileSync(join(place, name), text.replaceAll('/usr/bin/sealborn', process.execPath));
    }
  });
  afterAll(() => rmSync(place, { recursive: true, force: true }));

  it.skipIf(!hasSystemdAnalyze())('pass systemd-analyze verify without a word', async () => {
    const said = await run('systemd-analyze', [
      'verify',
      '--man=no',
      ...names.map((name) => join(place, name)),
    ]);
    expect(`${said.stdout}${said.stderr}`).toBe('');
    expect(names).toEqual(['sealborn-measure.service', 'sealborn.service']);
  });

  it('a misspelt setting would not pass', async (context) => {
    if (!hasSystemdAnalyze()) context.skip('systemd-analyze is not installed');
    const bad = join(place, 'bad.service');
    writeFileSync(bad, `[Service]\nExecStart=${process.execPath}\nRestrat=always\n`);
    const said = await run('systemd-analyze', ['verify', '--man=no', bad]);
    expect(said.stderr).toContain('Restrat');
  });
});
