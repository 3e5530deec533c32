import { describe, expect, it } from 'vitest';

import { list, record, text, whole } from '../../src/base/shape.ts';
import { parseYaml, readYaml } from '../../src/base/yaml.ts';

const bytes = (yaml: string): Buffer => Buffer.from(yaml);

describe('parseYaml', () => {
  it('reads YAML 1.2 of the core schema, integers exact', () => {
    const { value } = parseYaml(bytes('a: yes\nb: 9007199254740993\nc: 12\nd: [x, "1"]\n'), 'x.yaml');
    expect(value).toEqual({ a: 'yes', b: 9007199254740993n, c: 12, d: ['x', '1'] });
  });

  it.each([
    ['a: 1\na: 2\n', /^x\.yaml:2:1: /],
    ['a: [1\n', /^x\.yaml:2:1: /],
    ['a: &x 1\nb: *x\n', /^x\.yaml:2: aliases/],
    ['? [1, 2]\n: 3\n', /not a string/],
    ['1: a\n', /not a string/],
    ['a: !!python/object x\n', /^x\.yaml:1/],
    ['a: 1\n---\nb: 2\n', /^x\.yaml/],
  ])('refuses %j with file and line', (yaml, message) => {
    expect(() => parseYaml(bytes(yaml), 'x.yaml')).toThrow(message);
    expect(() => parseYaml(bytes(yaml), 'x.yaml')).toThrow(expect.objectContaining({ code: 'yaml-invalid' }));
  });

  it('refuses a hundred thousand nested lists without running out of stack', () => {
    expect(() => parseYaml(bytes('['.repeat(100_000)), 'x.yaml')).toThrow(
      expect.objectContaining({ code: 'yaml-invalid' }),
    );
  });
});

describe('readYaml', () => {
  it('reports every wrong field, each with its line', () => {
    const reader = record({ name: text(), items: list(record({ n: whole(1) })) });
    const yaml = 'nam: x\nitems:\n  - n: 0\n  - n: 2\n  - n: x\n';
    expect(() => readYaml(bytes(yaml), 'x.yaml', reader)).toThrow(
      [
        'x.yaml:1: name is missing',
        'x.yaml:3: items[0].n must be a whole number from 1 to 9007199254740991',
        'x.yaml:5: items[2].n must be a whole number from 1 to 9007199254740991',
        'x.yaml:1: nam is not known here; known: name, items',
      ].join('\n'),
    );
  });
});
