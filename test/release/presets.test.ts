import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { measureRules } from '../../src/base/measure-rules.ts';
import { readShape } from '../../src/base/shape.ts';
import { PRESETS, type PresetName, withPresets } from '../../src/release/presets.ts';
import { rulesWith } from '../support/rules.ts';

const NAMES = Object.keys(PRESETS) as PresetName[];

describe('withPresets', () => {
  it.each(NAMES)(
    'writes %s out as rules that a release can state, each explained in docs/presets.md',
    (name) => {
      const rules = withPresets(rulesWith(), [name]);
      expect(readShape(measureRules, JSON.parse(JSON.stringify(rules)), 'rules')).toEqual(rules);
      const docs = readFileSync(new URL('../../docs/presets.md', import.meta.url), 'utf8');
      const section = docs.split(`## ${name}\n`)[1]?.split('\n## ')[0] ?? '';
      const { mutable, mutableFiles, mounts } = PRESETS[name];
      for (const { path } of [...mutable, ...mutableFiles, ...mounts])
        expect(section).toContain(`\`${path}\``);
      for (const { path, mode } of mutableFiles) {
        const row = section.split('\n').find((line) => line.includes(`\`${path}\``));
        expect(row).toContain(mode);
      }
    },
  );

  it('all at once are rules that a release can state', () => {
    const rules = withPresets(rulesWith({ mutable: ['/var'] }), NAMES);
    expect(readShape(measureRules, JSON.parse(JSON.stringify(rules)), 'rules')).toEqual(rules);
    expect(rules.mutableFiles.some(({ path }) => path.startsWith('/var/'))).toBe(false);
  });

  it('lets what a person wrote for a path stand', () => {
    const own = { path: '/etc/machine-id', mode: '0400', uid: 1, gid: 1, link: false };
    const rules = withPresets(rulesWith({ mutableFiles: [own], absent: ['/etc/adjtime'] }), [
      'debian-first-boot',
    ]);
    expect(rules.mutableFiles.filter(({ path }) => path === own.path)).toEqual([own]);
    expect(rules.mutableFiles.map(({ path }) => path)).not.toContain('/etc/adjtime');
  });

  it('leaves out what is not measured', () => {
    const rules = withPresets(rulesWith({ roots: ['/usr'] }), NAMES);
    expect(rules).toEqual(rulesWith({ roots: ['/usr'] }));
  });
});
