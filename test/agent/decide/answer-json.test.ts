import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { answerJson, policiesJson } from '../../../src/agent/decide/answer-json.ts';
import type { Answer } from '../../../src/agent/decide/decider.ts';

describe('answerJson', () => {
  it('writes every field as JSON.stringify does', () => {
    const text = fc.string({ unit: 'binary', maxLength: 20 }).map((one) => one.toWellFormed());
    const place = fc.record({ id: text, file: text, line: fc.nat() });
    const answer: fc.Arbitrary<Answer> = fc.record({
      decision: fc.boolean(),
      context: fc.record(
        {
          reason: fc.constantFrom('permit', 'forbid', 'no-permit', 'error', 'not-trusted', 'not-logged'),
          policies: fc.array(place, { maxLength: 3 }),
          errors: fc.array(fc.record({ id: text, message: text }), { maxLength: 2 }),
          ignored: fc.array(fc.constantFrom('subject', 'resource', 'context'), { maxLength: 2 }),
          state: fc.constantFrom('starting', 'drifted'),
          release: fc.record({ name: text, version: text, commit: text }),
          decisionId: fc.uuid(),
        },
        { requiredKeys: ['reason', 'policies', 'decisionId'] },
      ),
    });
    fc.assert(
      fc.property(answer, (one) => {
        const json = `{${answerJson(one)}}`;
        expect(JSON.parse(json)).toEqual(one);
        expect(json.length).toBe(JSON.stringify(one).length);
      }),
    );
  });

  it('makes the JSON of a policy anew where the place is another object', () => {
    const place = { id: 'a', file: 'f', line: 1 };
    expect(policiesJson([place, place])).toBe(`[${JSON.stringify(place)},${JSON.stringify(place)}]`);
    expect(policiesJson([{ ...place, line: 2 }])).toBe('[{"id":"a","file":"f","line":2}]');
  });
});
