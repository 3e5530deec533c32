import fc from 'fast-check';
import { expect, it } from 'vitest';

import { questionJson } from '../../../src/agent/decide/question-json.ts';

const text = fc.string({ unit: 'binary' });
const fields = fc.option(fc.dictionary(fc.string(), fc.jsonValue()), { nil: undefined });
const entity = fc.record({ type: text, id: text, properties: fields });

it('questionJson writes what JSON.stringify does', () => {
  fc.assert(
    fc.property(
      fc.record({
        subject: entity,
        action: fc.record({ name: text, properties: fields }),
        resource: entity,
        context: fields,
      }),
      (question) => {
        const whole = JSON.stringify(question);
        expect(questionJson(JSON.parse(whole))).toBe(whole);
      },
    ),
  );
});
