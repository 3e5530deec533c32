import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const UNITS = fileURLToPath(new URL('../../systemd', import.meta.url));
const names = readdirSync(UNITS).filter((name) => !name.endsWith('.conf'));
const ofAgent = names.filter((name) => !name.startsWith('sealborn-collector'));
const unit = (name: string): string => readFileSync(join(UNITS, name), 'utf8');

function hasSystemdAnalyze(): boolean {
  try {
    execFileSync('systemd-analyze', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    process.stderr.write('skipped: systemd-analyze is not installed\n');
    return false;
  }
}

describe.skipIf(!hasSystemdAnalyze())('systemd units', () => {
  let place: string;
  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), 'sealborn-units-'));
    // The program is not installed where the units name it; any executable will do for the check.
    for (const name of names) {
      writeFileSync(
        join(place, name),
        unit(name).replaceAll(/=\/usr\/bin\/sealborn\S* /g, `=${process.execPath} `),
      );
    }
  });
  afterAll(() => rmSync(place, { recursive: true, force: true }));

  const verify = async (files: string[]): Promise<string> => {
    const said = await run('systemd-analyze', ['verify', '--man=no', ...files]);
    return `${said.stdout}${said.stderr}`;
  };

  it('pass systemd-analyze verify without a word, where a misspelt setting would not', async () => {
    expect(await verify(names.map((name) => join(place, name)))).toBe('');
    const bad = join(place, 'bad.service');
    writeFileSync(bad, `[Service]\nExecStart=${process.execPath}\nRestrat=always\n`);
    expect(await verify([bad])).toContain('Restrat');
  });

  // The numbers are of systemd-analyze(1), times ten: 1.2 for the half that reads everything, 2.0 for the one that serves.
  it.for([
    ['sealborn-measure.service', 12],
    ['sealborn.service', 20],
    ['sealborn-verified.service', 20],
    ['sealborn-collector.service', 20],
  ] as const)('%s is exposed to no more than %i tenths', async ([name, threshold]) => {
    const security = ['security', '--offline=true', '--no-pager'];
    await run('systemd-analyze', [...security, `--threshold=${threshold}`, join(place, name)]);
    const open = join(place, 'open.service');
    writeFileSync(open, `[Service]\nExecStart=${process.execPath}\n`);
    await expect(
      run('systemd-analyze', [...security, `--threshold=${threshold}`, open]),
    ).rejects.toBeDefined();
  });

  it('hide nothing of the image from the measuring half, which has one capability and no network', () => {
    const text = unit('sealborn-measure.service');
    for (const hiding of [
      /^ProtectHome=(?:yes|true|tmpfs)/m,
      /^(?:PrivateTmp|PrivateDevices|ProtectKernelModules|PrivateUsers)=/m,
      /^(?:InaccessiblePaths|TemporaryFileSystem|RootDirectory|RootImage|BindPaths|MountImages)=/m,
      /^(?:ProtectProc|ProcSubset)=/m,
    ]) {
      expect(text).not.toMatch(hiding);
    }
    expect(text).toMatch(/^CapabilityBoundingSet=CAP_DAC_READ_SEARCH$/m);
    expect(text).toMatch(/^AmbientCapabilities=CAP_DAC_READ_SEARCH$/m);
    expect(text).toMatch(/^PrivateNetwork=yes$/m);
    expect(text).toMatch(/^RestrictAddressFamilies=AF_UNIX$/m);
    expect(unit('sealborn.service')).toMatch(/^CapabilityBoundingSet=$/m);
  });

  it('give both halves users of their own, and every socket the name that the program knows it by', () => {
    expect(unit('sealborn-measure.service')).toMatch(/^User=sealborn-measure$/m);
    expect(unit('sealborn.service')).toMatch(/^User=sealborn$/m);
    for (const [name, socket] of [
      ['sealborn-decide.socket', 'decide.sock'],
      ['sealborn-decide-ndjson.socket', 'decide.ndjson.sock'],
    ] as const) {
      expect(unit(name)).toContain(`\nListenStream=/run/sealborn/${socket}\nFileDescriptorName=${socket}\n`);
    }
  });

  it('are enabled by the preset where they have an [Install] section, and only those', () => {
    const enabled = [...readFileSync(join(UNITS, 'preset.conf'), 'utf8').matchAll(/^enable (\S+)$/gm)];
    const installable = ofAgent.filter((name) => unit(name).includes('\n[Install]\n'));
    expect(new Set(enabled.map(([, name]) => name))).toEqual(new Set(installable));
  });
});
