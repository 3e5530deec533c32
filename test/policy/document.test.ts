import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { formatPolicyDocument, parsePolicyDocument } from '../../src/policy/document.ts';
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
