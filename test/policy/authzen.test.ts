import { describe, expect, it } from 'vitest';

import type { JsonValue } from '../../src/base/json.ts';
import { parseJson } from '../../src/base/json.ts';
import { type Evaluation, evaluate, parseEvaluation } from '../../src/policy/authzen.ts';
import { answerAll, evaluateItem, parseEvaluations } from '../../src/policy/authzen-batch.ts';
import { createEngine } from '../../src/policy/engine.ts';
import { scenario } from '../support/scenario.ts';

const engine = createEngine(await scenario('todo'));
const json = (value: unknown): JsonValue =>
  parseJson(JSON.stringify(value), 'request', { maxBytes: 1 << 20 });
const ask = (value: unknown): Evaluation => evaluate(engine, parseEvaluation(json(value)));
const askAll = (value: unknown): boolean[] => {
  const request = parseEvaluations(json(value));
  if (!('items' in request)) throw new Error('a single evaluation');
  return answerAll(request, (item) => evaluateItem(engine, item)).map(({ decision }) => decision);
};

const morty = { type: 'user', id: 'CiRmZDE2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs' };
const update = { name: 'can_update_todo' };
const own = { type: 'todo', id: '1', properties: { ownerID: 'morty@the-citadel.com' } };
const other = { type: 'todo', id: '2', properties: { ownerID: 'rick@the-citadel.com' } };

describe('parseEvaluation', () => {
  const good = { subject: morty, action: update, resource: own };
  it('ignores fields that AuthZEN does not know', () => {
    expect(ask({ ...good, extra: 1, subject: { ...morty, more: true } }).decision).toBe(true);
  });
  it.each([
    ['no subject', { ...good, subject: undefined }],
    ['a subject that is a string', { ...good, subject: 'morty' }],
    ['a subject without id', { ...good, subject: { type: 'user' } }],
    ['a numeric id', { ...good, subject: { type: 'user', id: 7 } }],
    ['an empty type', { ...good, resource: { type: '', id: 'x' } }],
    ['no action', { ...good, action: {} }],
    ['an action that is a list', { ...good, action: ['can_update_todo'] }],
    ['properties that are a list', { ...good, resource: { ...own, properties: [] } }],
    ['a context that is a string', { ...good, context: 'now' }],
    ['a list', [good]],
    ['null', null],
  ])('refuses %s', (_, request) => {
    expect(() => parseEvaluation(json(request))).toThrow(
      expect.objectContaining({ code: 'request-invalid' }),
    );
  });
});

describe('parseEvaluation of a whole request', () => {
  const properties = { a: 1, b: ['x'] };
  it('takes what AuthZEN names and nothing else', () => {
    const whole = {
      subject: { type: 'user', id: 'ana', properties },
      action: { name: 'read', properties },
      resource: { type: 'todo', id: '1', properties },
      context: properties,
    };
    expect(parseEvaluation(json({ ...whole, id: 7, more: { a: 1 } }))).toEqual(whole);
    const least = {
      subject: { type: 'u', id: 'a' },
      action: { name: 'r' },
      resource: { type: 't', id: '1' },
    };
    const read = parseEvaluation(json({ ...least, subject: { ...least.subject, more: 1 } }));
    expect(JSON.stringify(read)).toBe(JSON.stringify(least));
  });
  it('holds names to their bounds', () => {
    const named = (type: string, id: string, name: string): unknown => ({
      subject: { type, id },
      action: { name },
      resource: { type: 't', id: '1' },
    });
    const most = named('t'.repeat(1024), 'i'.repeat(65_536), 'n'.repeat(1024));
    expect(parseEvaluation(json(most))).toEqual(most);
    for (const more of [
      named('t'.repeat(1025), 'i', 'n'),
      named('t', 'i'.repeat(65_537), 'n'),
      named('t', 'i', 'n'.repeat(1025)),
      named('t', '', 'n'),
      named('t', 'i', ''),
    ]) {
      expect(() => parseEvaluation(json(more))).toThrow(expect.objectContaining({ code: 'request-invalid' }));
    }
  });
});

describe('answerAll', () => {
  const batch = {
    subject: morty,
    action: update,
    evaluations: [{ resource: own }, { resource: other }, { resource: own }],
  };
  it('executes all by default, and stops where its semantic says', () => {
    expect(askAll(batch)).toEqual([true, false, true]);
    const semantic = (evaluations_semantic: string): unknown => ({
      ...batch,
      options: { evaluations_semantic },
    });
    expect(askAll(semantic('execute_all'))).toEqual([true, false, true]);
    expect(askAll(semantic('deny_on_first_deny'))).toEqual([true, false]);
    expect(askAll(semantic('permit_on_first_permit'))).toEqual([true]);
    expect(() => askAll(semantic('first'))).toThrow(expect.objectContaining({ code: 'request-invalid' }));
  });
  it('denies a bad item of a good batch, and lets an item override the defaults', () => {
    expect(
      askAll({
        ...batch,
        evaluations: [
          { resource: 'x' },
          7,
          { resource: own },
          { resource: own, subject: { type: 'user', id: 'nobody' } },
        ],
      }),
    ).toEqual([false, false, true, false]);
  });
  it('takes a request without evaluations as one evaluation', () => {
    expect('items' in parseEvaluations(json({ subject: morty, action: update, resource: own }))).toBe(false);
    expect(
      'items' in parseEvaluations(json({ subject: morty, action: update, resource: own, evaluations: [] })),
    ).toBe(false);
    expect(() => parseEvaluations(json({ evaluations: 'x' }))).toThrow(
      expect.objectContaining({ code: 'request-invalid' }),
    );
    expect(() =>
      parseEvaluations(json({ ...batch, evaluations: Array.from({ length: 1001 }, () => ({})) })),
    ).toThrow(/at most 1000/);
  });
});
