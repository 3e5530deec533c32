import { describe, expect, it } from 'vitest';

import { messageOf } from '../../src/base/errors.ts';
import { type MeasureRules, measureRules } from '../../src/base/measure-rules.ts';
import { readShape, record } from '../../src/base/shape.ts';
import { readYaml } from '../../src/base/yaml.ts';
import { measureSettings } from '../../src/release/measure-settings.ts';
import { rulesWith } from '../support/rules.ts';

const shape = record({ measure: measureSettings });

/** Reads lines under `measure:`, which stands in line 1. */
function read(...lines: string[]): MeasureRules {
  const text = ['measure:', ...lines.map((line) => `  ${line}`)].join('\n');
  return readYaml(Buffer.from(text), 'sealborn.yaml', shape).value.measure;
}

const HASH = 'ab'.repeat(32);

function refusal(...lines: string[]): string {
  try {
    read(...lines);
  } catch (thrown) {
    return messageOf(thrown);
  }
  return 'it was accepted';
}

describe('measureSettings', () => {
  it('fills in what may be left out', () => {
    expect(read('roots: [/]')).toEqual(rulesWith());
    expect(read('roots: [/]', 'mounts: [{path: /usr}]').mounts).toEqual([
      { path: '/usr', types: [], require: [], forbid: [], optional: false },
    ]);
  });

  it('reads a root hash of a mount in which the bundle does not lie', () => {
    const mounts = `mounts: [{path: /usr, rootHash: ${HASH}}]`;
    const rules = read('roots: [/usr]', 'bundle: /etc/bundle', mounts);
    expect(rules.mounts).toMatchObject([{ path: '/usr', rootHash: HASH }]);
    expect(readShape(measureRules, JSON.parse(JSON.stringify(rules)), 'rules')).toEqual(rules);
  });

  it('reads a root hash of / where the bundle lies on another mount, and there alone', () => {
    const root = `{path: /, rootHash: ${HASH}}`;
    expect(refusal('roots: [/]', `mounts: [${root}]`)).toContain('the bundle itself lies in "/"');
    const apart = read('roots: [/]', 'bundle: /efi/bundle', `mounts: [${root}, {path: /efi}]`);
    expect(apart.mounts).toMatchObject([{ path: '/', rootHash: HASH }, { path: '/efi' }]);
  });

  it('reads a mutable area as a path or with what it may hold', () => {
    expect(read('roots: [/]', 'mutable: [/tmp, {path: /dev, allow: [devices]}]').mutable).toEqual([
      { path: '/tmp', allow: [] },
      { path: '/dev', allow: ['devices'] },
    ]);
    expect(refusal('roots: [/]', 'mutable: [{path: /dev, allow: [suid]}]')).toContain(
      'must be one of setuid',
    );
    expect(refusal('roots: [/]', 'mutable: [tmp]')).toContain('must be an absolute path');
  });

  it('gives rules that a signed release states and reads back', () => {
    const rules = read(
      'roots: [/]',
      'mutable: [/tmp, {path: /dev, allow: [devices]}]',
      'extensions: [sysext]',
      'fsVerity: true',
      'mounts:',
      '- {path: /usr, types: [erofs, ext4], require: [ro, nodev]}',
      '- {path: /boot/efi, types: [autofs, vfat], forbid: [rw], optional: true}',
      '- {path: /tmp, require: [nosuid, nodev]}',
    );
    expect(readShape(measureRules, JSON.parse(JSON.stringify(rules)), 'rules')).toEqual(rules);
  });

  it.each([
    ['a second rule for a path', '[{path: /usr}, {path: /usr}]', 'is a second rule for "/usr"'],
    ['a contradiction', '[{path: /usr, require: [ro], forbid: [ro]}]', 'requires and forbids "ro"'],
    ['ro and rw', '[{path: /usr, require: [ro, rw]}]', 'requires "ro" and "rw"'],
    ['neither ro nor rw', '[{path: /usr, forbid: [ro, rw]}]', 'forbids "ro" and "rw"'],
    ['a place that nothing measures', '[{path: /srv}]', 'has no effect: "/srv" is not over or under'],
    ['a free place', '[{path: /tmp, optional: true}]', 'has no effect: "/tmp" is mutable'],
    ['an optional root', '[{path: /, optional: true}]', 'has no effect: something is always mounted'],
    ['a word of fstab', '[{path: /usr, require: [exec]}]', 'forbid "noexec"'],
    ['a misspelt option', '[{path: /usr, require: [nosudi]}]', 'must be one of ro, rw, nosuid'],
    ['a misspelt field', '[{path: /usr, option: [ro]}]', 'is not known here'],
    ['a hash of a wrong length', '[{path: /usr, rootHash: ab12}]', 'must be a root hash'],
    ['a hash that nothing tells', `[{path: /etc, rootHash: ${HASH}}]`, 'is known of / and /usr alone'],
    ['a hash made of itself', `[{path: /usr, rootHash: ${HASH}}]`, 'the bundle itself lies in "/usr"'],
  ])('refuses %s, with file and line', (_, mounts, message) => {
    const words = refusal('roots: [/usr, /etc]', 'mutable: [/tmp]', `mounts: ${mounts}`);
    expect(words).toMatch(/^sealborn\.yaml:4: measure\.mounts/);
    expect(words).toContain(message);
  });

  it.each([
    ['in a mutable directory', '[{path: /tmp/x, mode: "0644"}]', 'it lies in the mutable directory "/tmp"'],
    ['outside of the roots', '[{path: /srv/x, mode: "0644"}]', '"/srv/x" is not below a measured root'],
    ['that may be setuid', '[{path: /etc/x, mode: "4644"}]', 'must be a mode such as'],
    ['twice', '[{path: /etc/x, mode: "0644"}, {path: /etc/x, mode: "0600"}]', 'is a second rule'],
  ])('refuses a mutable file %s, with file and line', (_, files, message) => {
    const words = refusal('roots: [/usr, /etc]', 'mutable: [/tmp]', `mutableFiles: ${files}`);
    expect(words).toMatch(/^sealborn\.yaml:4: measure\.mutableFiles/);
    expect(words).toContain(message);
  });

  it('writes presets out, and refuses one that it does not know', () => {
    const { mutable, mounts } = read('roots: [/]', 'presets: [api-file-systems]');
    expect(mutable).toContainEqual({ path: '/dev', allow: ['devices'] });
    expect(mounts.map(({ path }) => path)).toContain('/proc');
    expect(refusal('roots: [/]', 'presets: [debian]')).toContain('must be one of api-file-systems');
  });

  it('refuses system extensions of which no place is measured', () => {
    expect(refusal('roots: [/srv]', 'extensions: [confext]')).toBe(
      'sealborn.yaml:3: measure.extensions[0] has no effect: none of /etc is measured',
    );
  });
});
