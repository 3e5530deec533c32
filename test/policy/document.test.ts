import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { formatPolicyDocument, openPolicyDocument, parsePolicyDocument } from '../../src/policy/document.ts';
import { createEngine } from '../../src/policy/engine.ts';
import { splitPolicies } from '../../src/policy/split-policies.ts';
import { scenario } from '../support/scenario.ts';

const todo = await scenario('todo');

const change = (edit: (document: Record<string, unknown>) => void): Buffer => {
  const document = JSON.parse(formatPolicyDocument(todo).toString()) as Record<string, unknown>;
  edit(document);
  return Buffer.from(JSON.stringify(document));
};
type Policies = { effect: string; id: string }[];

describe('parsePolicyDocument', () => {
  it('reads what formatPolicyDocument writes, byte for byte', () => {
    const bytes = formatPolicyDocument(todo);
    expect(formatPolicyDocument(parsePolicyDocument(bytes))).toEqual(bytes);
  });
  it.each<[string, Buffer, string]>([
    ['no JSON', Buffer.from('x'), 'document-invalid'],
    ['a million nested arrays', Buffer.from('['.repeat(1_000_000)), 'document-invalid'],
    ['another format', change((d) => (d['format'] = 2)), 'document-invalid'],
    ['an unknown field', change((d) => (d['allowAll'] = true)), 'document-invalid'],
    ['no policy', change((d) => (d['policies'] = [])), 'policy-empty'],
    [
      'no permit',
      change((d) => (d['policies'] as Policies).forEach((p) => (p.effect = 'forbid'))),
      'policy-no-permit',
    ],
    [
      'one id twice',
      change((d) => (d['policies'] as Policies).forEach((p) => (p.id = 'x'))),
      'policy-duplicate-id',
    ],
    [
      'one entity twice',
      change((d) => (d['entities'] as unknown[]).push((d['entities'] as unknown[])[0])),
      'entities-invalid',
    ],
  ])('refuses %s', (_, bytes, code) => {
    expect(() => parsePolicyDocument(bytes)).toThrow(expect.objectContaining({ code }));
  });
});

describe('splitPolicies', () => {
  it('is not fooled by semicolons in comments and strings', () => {
    const text =
      '// a; b\n@id("x;y")\npermit (principal, action, resource); // forbid (principal);\nforbid (principal, action, resource)\nwhen { context.a == "\\"; // no" };\n';
    expect(splitPolicies(text).map(({ text: policy, line }) => [line, policy.slice(0, 6)])).toEqual([
      [2, '@id("x'],
      [4, 'forbid'],
    ]);
  });
  it('gives back every policy of a file, whatever stands between them', () => {
    const policy = fc.constantFrom(
      'permit (principal, action, resource)',
      'forbid (principal, action, resource) when { context.s == ";" }',
    );
    const between = fc.constantFrom('', '\n', '// x; y\n', '  \t', '//\n\n');
    fc.assert(
      fc.property(fc.array(fc.tuple(between, policy, between), { maxLength: 8 }), (pieces) => {
        const text = pieces.map(([before, one, after]) => `${before}${one}${after};`).join('');
        const found = splitPolicies(text);
        expect(found).toHaveLength(pieces.length);
        found.forEach((source, index) => {
          expect(source.text.startsWith(pieces[index]![1])).toBe(true);
          expect(text.startsWith(source.text, source.start)).toBe(true);
          expect(text.slice(0, source.start).split('\n')).toHaveLength(source.line);
        });
      }),
    );
  });
});

describe('openPolicyDocument', () => {
  const bytes = formatPolicyDocument(todo);
  const lines = bytes.toString().split('\n');
  const load = (text: string): unknown => createEngine(openPolicyDocument(Buffer.from(text)));
  const codeOf = (run: () => unknown): unknown => {
    try {
      run();
      return 'taken';
    } catch (thrown) {
      return (thrown as { code?: unknown }).code;
    }
  };
  it('gives the same entities as parsePolicyDocument, each time they are come to', () => {
    const open = openPolicyDocument(bytes);
    expect([...open.entities]).toEqual(todo.entities);
    expect([...open.entities]).toEqual(todo.entities);
  });
  it.each<[string, (lines: string[]) => string[], string]>([
    ['nothing changed', (all) => all, 'taken'],
    [
      'an entity twice',
      ([head = '', first = '', ...rest]) => [head, first, first, ...rest],
      'entities-invalid',
    ],
    ['a row that is none', ([head = '', , ...rest]) => [head, '["user"],', ...rest], 'document-invalid'],
    [
      'a line that is no JSON',
      ([head = '', , ...rest]) => [head, '{"a":1,"a":2},', ...rest],
      'json-duplicate-key',
    ],
    ['a comma too many', ([head = '', first = '', ...rest]) => [head, `${first},`, ...rest], 'json-invalid'],
    ['an empty line', ([head = '', ...rest]) => [head, ',', ...rest], 'json-invalid'],
  ])('is taken or refused as a whole by createEngine: %s', (_, change, code) => {
    const text = change(lines).join('\n');
    expect(codeOf(() => load(text))).toBe(code);
    expect(codeOf(() => parsePolicyDocument(Buffer.from(text))) === 'taken').toBe(code === 'taken');
  });
});
