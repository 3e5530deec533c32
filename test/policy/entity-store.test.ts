import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { BakedEntity } from '../../src/policy/entity-lines.ts';
import { loadEntities } from '../../src/policy/entity-store.ts';
import { isIn } from '../../src/policy/entity.ts';
import { likePattern } from '../../src/policy/like-pattern.ts';

const entity = (id: number, parents: readonly number[], attrs: BakedEntity['attrs'] = {}): BakedEntity => ({
  uid: { type: 'T', id: String(id) },
  attrs,
  parents: parents.map((parent) => ({ type: 'T', id: String(parent) })),
});

describe('loadEntities', () => {
  it('knows all ancestors, whatever the shape and order of the hierarchy', () => {
    // Parents have larger numbers, so there is no cycle; a parent may be a name without an entity.
    const graph = fc.uniqueArray(
      fc.tuple(fc.nat(19), fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { maxLength: 4 })),
      { selector: ([id]) => id, maxLength: 20 },
    );
    fc.assert(
      fc.property(graph, (nodes) => {
        const parents = new Map(nodes.map(([id, steps]) => [id, steps.map((step) => id + step)]));
        const store = loadEntities(
          nodes.map(([id]) => entity(id, parents.get(id) ?? [])),
          [],
        );
        const reaches = (from: number, to: number): boolean =>
          from === to || (parents.get(from) ?? []).some((parent) => reaches(parent, to));
        for (const [from] of nodes) {
          for (let to = 0; to < 26; to += 1) {
            const [a, b] = [store.intern('T', String(from)), store.intern('T', String(to))];
            expect(isIn(a, b)).toBe(reaches(from, to));
          }
        }
      }),
    );
  });

  it('takes a chain too deep for recursion, and bounds what a deep hierarchy may cost', () => {
    const chain = (length: number): BakedEntity[] =>
      Array.from({ length }, (_, id) => entity(id, id + 1 < length ? [id + 1] : []));
    const store = loadEntities(chain(4_000), []);
    expect(isIn(store.intern('T', '0'), store.intern('T', '3999'))).toBe(true);
    expect(isIn(store.intern('T', '3999'), store.intern('T', '0'))).toBe(false);
    expect(() => loadEntities(chain(100_000), [])).toThrow(
      expect.objectContaining({ code: 'document-invalid' }),
    );
  });

  it('refuses a cycle, an entity in itself, and a value that is none', () => {
    const invalid = expect.objectContaining({ code: 'document-invalid' }) as unknown;
    expect(() => loadEntities([entity(1, [2]), entity(2, [3]), entity(3, [1])], [])).toThrow(invalid);
    expect(() => loadEntities([entity(1, [1])], [])).toThrow(invalid);
    expect(() => loadEntities([entity(1, [], { a: null })], [])).toThrow(/T::"1": must be a value/);
  });
});

describe('likePattern', () => {
  it('matches as a regular expression of the same meaning does', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '*', '😀'), maxLength: 8 });
    const piece = fc.oneof(
      fc.constant('Wildcard' as const),
      text.map((Literal) => ({ Literal })),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), text, (pieces, subject) => {
        const source = pieces
          .map((one) => (one === 'Wildcard' ? '.*' : one.Literal.replaceAll('*', '\\*')))
          .join('');
        expect(likePattern(pieces)(subject)).toBe(new RegExp(`^${source}$`, 'su').test(subject));
      }),
      { numRuns: 2000 },
    );
  });
  it('stays quick where going back over every wildcard would not', () => {
    const pieces = Array.from({ length: 200 }, (_, index) =>
      index % 2 === 0 ? ('Wildcard' as const) : { Literal: 'a' },
    );
    expect(likePattern([...pieces, { Literal: 'b' }])('a'.repeat(100_000))).toBe(false);
  });
});
