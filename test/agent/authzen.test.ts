import { readFileSync } from 'node:fs';

import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { startMeasurer } from '../../src/agent/measure/measurer.ts';
import { startServer } from '../../src/agent/server.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import { requestUnix } from '../../src/host/net/unix-http.ts';
import { formatPolicyDocument } from '../../src/policy/document.ts';
import { corpus } from '../support/corpora.ts';
import { scenario } from '../support/scenario.ts';
import { sealMachine, untilState } from './sealed-machine.ts';

/*
 * AuthZEN Authorization API 1.0 against a running agent, over its socket: the interop scenarios with their expected
 * answers, and the certification scenario of the specification (openid/authzen, certification/), whose sections the
 * tests are named by. The policies are in test/scenarios.
 */
const common = { log: SILENT_LOG, notify: () => undefined, now: () => new Date(), environment: {} };

type Answer = { status: number; headers: Readonly<Record<string, unknown>>; value: Json };
type Json = { readonly [field: string]: unknown };
type WhenDone = (clean: () => Promise<void>) => void;
type Post = (path: string, body: unknown, headers?: Record<string, string>) => Promise<Answer>;

/** A sealed machine with the policies of a scenario and its agent, trusted unless told. */
async function agentOf(
  name: Parameters<typeof scenario>[0],
  { isTrusted = true, whenDone = onTestFinished }: { isTrusted?: boolean; whenDone?: WhenDone } = {},
): Promise<Post> {
  const policy = formatPolicyDocument(await scenario(name));
  const machine = await sealMachine({ policy }, whenDone);
  const server = await startServer(machine.settings(), common);
  whenDone(() => server.close());
  if (isTrusted) {
    const measurer = await startMeasurer(machine.settings(), common);
    whenDone(() => measurer.close());
    await untilState(server.decideSocket, 'trusted');
  }
  return async (path, body, headers = { 'content-type': 'application/json' }) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const method = path.startsWith('/.well-known') ? 'GET' : 'POST';
    const answer = await requestUnix(server.decideSocket, { method, path, headers, body: text }, 10_000);
    return {
      status: answer.status,
      headers: answer.headers,
      value: JSON.parse(String(answer.body)) as Json,
    };
  };
}

const EVALUATION = '/access/v1/evaluation';
const EVALUATIONS = '/access/v1/evaluations';
const search = (kind: string): string => `/access/v1/search/${kind}`;
const read = <T>(name: string): T => JSON.parse(readFileSync(corpus(name).path, 'utf8')) as T;
const isMissing = corpus('authzen/todo-decisions.json').missing;

describe('AuthZEN interop over decide.sock', () => {
  it.skipIf(isMissing)(
    'todo: 40 evaluations and 3 batches, and answers that fit the JSON Schema',
    async () => {
      const post = await agentOf('todo');
      const ajv = new Ajv2020({ strict: false });
      const isRequest = ajv.compile(read<object>('authzen/evaluation-request.schema.json'));
      const isResponse = ajv.compile(read<object>('authzen/evaluation-response.schema.json'));
      type Case<T> = { request: Json; expected: T };
      const { evaluation, evaluations } = read<{
        evaluation: Case<boolean>[];
        evaluations: Case<{ decision: boolean }[]>[];
      }>('authzen/todo-decisions.json');
      for (const { request, expected } of evaluation) {
        const { status, value } = await post(EVALUATION, request);
        expect({ status, decision: value['decision'] }, JSON.stringify(request)).toEqual({
          status: 200,
          decision: expected,
        });
        expect([isRequest(request), isResponse(value)]).toEqual([true, true]);
      }
      for (const { request, expected } of evaluations) {
        const { value } = await post(EVALUATIONS, request);
        const answers = value['evaluations'] as Json[];
        expect(answers.map(({ decision }) => decision)).toEqual(expected.map(({ decision }) => decision));
        expect(answers.every((answer) => isResponse(answer))).toBe(true);
      }
      expect([evaluation.length, evaluations.length]).toEqual([40, 3]);
    },
  );

  it.skipIf(isMissing)(
    'search: every subject, resource and action search, and every result holds',
    async () => {
      const post = await agentOf('search');
      const counts: number[] = [];
      for (const kind of ['subject', 'resource', 'action'] as const) {
        const { evaluation } = read<{
          evaluation: { request: { page?: Json } & Json; expected: { results: Json[] } }[];
        }>(`authzen/search-${kind}.json`);
        counts.push(evaluation.length);
        for (const { request, expected } of evaluation) {
          const { status, value } = await post(search(kind), request);
          expect(status).toBe(200);
          // The order of results is the PDP's own.
          expect(sorted(value['results']), JSON.stringify(request)).toEqual(sorted(expected.results));
          expect(value['page']).toEqual({ next_token: '', count: expected.results.length });
          const [first] = value['results'] as Json[];
          if (first === undefined) continue;
          const { value: again } = await post(EVALUATION, { ...request, [kind]: first });
          expect(again['decision']).toBe(true);
        }
      }
      expect(counts).toEqual([60, 18, 120]);
    },
  );
});

function sorted(results: unknown): string[] {
  return (results as Json[]).map((result) => JSON.stringify(result)).sort();
}

const alice = { type: 'user', id: 'alice' };
const bob = { type: 'user', id: 'bob' };
const record1 = { type: 'record', id: 'record-1' };
const record2 = { type: 'record', id: 'record-2' };
const archived = { ...record2, properties: { status: 'archived' } };
const active = { ...record1, properties: { status: 'active' } };
const admin = { ...bob, properties: { role: 'admin' } };
const act = (name: string, properties?: Json): Json => (properties ? { name, properties } : { name });
const readRecord1 = { subject: alice, action: act('read'), resource: record1 };

describe('AuthZEN certification scenario over decide.sock', () => {
  let post: Post;
  const cleaning: (() => Promise<void>)[] = [];
  // One agent for all: each test asks and changes nothing.
  beforeAll(async () => {
    post = await agentOf('certification', { whenDone: (clean) => cleaning.unshift(clean) });
  });
  afterAll(async () => {
    for (const clean of cleaning) await clean();
  });

  const context = { time: '2025-06-27T18:03-07:00', ip: '192.168.1.1' };
  const withMore = {
    subject: { ...alice, properties: { department: 'Sales', role: 'manager' } },
    action: act('read', { method: 'GET' }),
    resource: { ...record1, properties: { status: 'active', owner: 'bob' } },
  };
  it.each<[section: string, request: Json, decision: boolean]>([
    ['permit', readRecord1, true],
    ['deny', { subject: bob, action: act('write'), resource: record1 }, false],
    ['optional context', { ...readRecord1, context }, true],
    ['deny by properties', { subject: alice, action: act('write'), resource: archived }, false],
    ['permit by subject properties', { subject: admin, action: act('write'), resource: archived }, true],
    ['action properties', { ...readRecord1, action: act('delete', { soft: true }) }, true],
    ['other action properties', { ...readRecord1, action: act('delete', { soft: false }) }, false],
    ['additional properties', withMore, true],
    ['unknown fields', { ...readRecord1, foo: 'bar', futureField: { nested: true } }, true],
  ])('2.2 %s', async (_, request, decision) => {
    const { status, headers, value } = await post(EVALUATION, request);
    expect([status, value['decision']]).toEqual([200, decision]);
    expect(headers['content-type']).toMatch(/^application\/json/);
    expect(typeof value['context']).toBe('object');
  });

  it.each<[string, string, unknown]>([
    ['no subject', EVALUATION, { ...readRecord1, subject: undefined }],
    ['no action', EVALUATION, { ...readRecord1, action: undefined }],
    ['no resource', EVALUATION, { ...readRecord1, resource: undefined }],
    ['subject without type', EVALUATION, { ...readRecord1, subject: { id: 'alice' } }],
    ['subject without id', EVALUATION, { ...readRecord1, subject: { type: 'user' } }],
    ['action without name', EVALUATION, { ...readRecord1, action: {} }],
    ['resource without type', EVALUATION, { ...readRecord1, resource: { id: 'record-1' } }],
    ['resource without id', EVALUATION, { ...readRecord1, resource: { type: 'record' } }],
    ['malformed JSON', EVALUATION, '{"subject":'],
    ['an empty body', EVALUATION, ''],
    ['a subject that is a string', EVALUATION, { ...readRecord1, subject: 'alice' }],
    ['an action name that is a number', EVALUATION, { ...readRecord1, action: { name: 123 } }],
    ['a batch that is a string', EVALUATIONS, { ...readRecord1, evaluations: 'all' }],
    ['a semantic that there is not', EVALUATIONS, batch({ evaluations_semantic: 'any' })],
    ['a list of requests', EVALUATIONS, [readRecord1]],
    ['4.7 subject search, no action', search('subject'), { subject: { type: 'user' }, resource: record1 }],
    ['4.7 resource search, no subject', search('resource'), { action: act('read'), resource: record1 }],
    ['4.7 action search, no resource', search('action'), { subject: alice }],
    [
      '4.7 subject search, no resource id',
      search('subject'),
      { subject: { type: 'user' }, action: act('read'), resource: { type: 'record' } },
    ],
    [
      '4.7 resource search, no subject id',
      search('resource'),
      { subject: { type: 'user' }, action: act('read'), resource: { type: 'record' } },
    ],
    ['a page that is a list', search('action'), { subject: alice, resource: record1, page: [] }],
    ['a limit below 0', search('action'), { subject: alice, resource: record1, page: { limit: -1 } }],
    ['a token of nothing', search('action'), { subject: alice, resource: record1, page: { token: 'x' } }],
  ])('2.4 answers %s with 400', async (_, path, request) => {
    const { status, value } = await post(path, request);
    expect(status).toBe(400);
    expect(typeof value['error']).toBe('string');
  });
  it('2.4.3 answers another content type with 400', async () => {
    for (const headers of [{}, { 'content-type': 'text/plain' }, { 'content-type': 'application/jsonp' }]) {
      expect((await post(EVALUATION, readRecord1, headers)).status).toBe(400);
    }
  });

  it('2.5 and 5 echo X-Request-ID on every endpoint, and go on without one', async () => {
    const id = 'bfe9eb29-ab87-4ca3-be83-a1d5d8305716 (a string of any kind)';
    const headers = { 'content-type': 'application/json', 'x-request-id': id };
    const asked = { ...readRecord1, subject: alice };
    for (const path of [EVALUATION, EVALUATIONS, search('subject'), search('resource'), search('action')]) {
      const { status, headers: answered } = await post(path, asked, headers);
      expect([path, status, answered['x-request-id']]).toEqual([path, 200, id]);
    }
    expect((await post(EVALUATION, { subject: 7 }, headers)).headers['x-request-id']).toBe(id);
    expect((await post(EVALUATION, readRecord1)).headers).not.toHaveProperty('x-request-id');
  });

  it('2.6 gives the same decision each time', async () => {
    for (let time = 0; time < 5; time += 1) {
      expect((await post(EVALUATION, readRecord1)).value['decision']).toBe(true);
    }
  });

  it.each<[section: string, request: Json, decisions: boolean[]]>([
    [
      '3.2.1 defaults',
      { subject: alice, action: act('read'), evaluations: [{ resource: record1 }, { resource: record2 }] },
      [true, true],
    ],
    [
      '3.2.2 fixture',
      {
        subject: bob,
        resource: record1,
        evaluations: [{ action: act('read') }, { action: act('write') }],
      },
      [true, false],
    ],
    [
      '3.2.3 properties of each resource',
      { subject: alice, action: act('write'), evaluations: [{ resource: active }, { resource: archived }] },
      [true, false],
    ],
    [
      '3.2.4 properties of each subject',
      { action: act('write'), resource: archived, evaluations: [{ subject: alice }, { subject: admin }] },
      [false, true],
    ],
    [
      '3.2.5 no defaults',
      { evaluations: [readRecord1, { subject: bob, action: act('write'), resource: record1 }] },
      [true, false],
    ],
    [
      '3.2.6 context',
      {
        subject: alice,
        action: act('delete'),
        context: { soft: true },
        evaluations: [{ resource: record1 }, { resource: record1, context: { soft: false } }],
      },
      [true, false],
    ],
    [
      '3.2.7 a type from the default, nothing else of it',
      {
        subject: alice,
        action: act('write'),
        resource: { type: 'record', properties: { status: 'archived' } },
        evaluations: [{ resource: { id: 'record-1' } }, { resource: archived }],
      },
      [true, false],
    ],
    [
      '3.4.1 an item that is no request',
      { subject: alice, action: act('read'), evaluations: [{ resource: record1 }, {}] },
      [true, false],
    ],
    ['deny_on_first_deny', batch({ evaluations_semantic: 'deny_on_first_deny' }), [true, false]],
    ['permit_on_first_permit', batch({ evaluations_semantic: 'permit_on_first_permit' }), [true]],
    ['execute_all', batch({ evaluations_semantic: 'execute_all', other: 1 }), [true, false, true]],
  ])('3.2 batch: %s', async (_, request, decisions) => {
    const { status, value } = await post(EVALUATIONS, request);
    expect(status).toBe(200);
    expect(value).not.toHaveProperty('decision');
    expect((value['evaluations'] as Json[]).map(({ decision }) => decision)).toEqual(decisions);
  });
  it('3.4 answers a batch without evaluations as one evaluation', async () => {
    for (const request of [readRecord1, { ...readRecord1, evaluations: [] }]) {
      const { value } = await post(EVALUATIONS, request);
      expect(value['decision']).toBe(true);
      expect(value).not.toHaveProperty('evaluations');
    }
  });

  const users = { subject: { type: 'user' }, action: act('read'), resource: record1 };
  const page = { next_token: '', count: 2 };
  it.each<[section: string, kind: string, request: Json, answer: Json]>([
    ['4.2.1 subjects', 'subject', users, { results: [alice, bob], page }],
    ['4.2.2 with a context', 'subject', { ...users, context }, { results: [alice, bob] }],
    ['4.2.3 an id is ignored', 'subject', { ...users, subject: bob }, { results: [alice, bob] }],
    [
      '4.2.4 by the resource',
      'subject',
      { ...users, action: act('write'), resource: archived },
      { results: [bob] },
    ],
    ['4.3.1 resources', 'resource', readRecord1, { results: [record1, record2], page }],
    [
      '4.3.3 by the subject',
      'resource',
      { subject: admin, action: act('write'), resource: { type: 'record' } },
      { results: [record2] },
    ],
    ['4.4.1 actions', 'action', readRecord1, { results: [act('read'), act('write')], page }],
    [
      '4.4.2 with a context',
      'action',
      { subject: alice, resource: record1, context: { soft: true } },
      { results: [act('delete'), act('read'), act('write')] },
    ],
    [
      '4.4.3 with properties',
      'action',
      { subject: admin, resource: archived },
      { results: [act('read'), act('write')] },
    ],
    [
      '4.6.1 of an unknown subject',
      'action',
      { subject: { type: 'user', id: 'nonexistent-user' }, resource: record1 },
      { results: [] },
    ],
    [
      '4.6.2 of an unknown type',
      'subject',
      { ...users, subject: { type: 'spaceship' } },
      { results: [], page: { next_token: '', count: 0 } },
    ],
    ['of an unknown action', 'subject', { ...users, action: act('fly') }, { results: [] }],
  ])('%s: search', async (_, kind, request, answer) => {
    const { status, value } = await post(search(kind), request);
    expect(status).toBe(200);
    expect(value).toMatchObject({ ...answer, context: { release: { version: '1.4.0' } } });
    expect(value['results']).toEqual(answer['results']);
  });
  it('4.5 pages a search, with a limit and then with its token alone', async () => {
    const first = await post(search('subject'), { ...users, page: { limit: 1 } });
    expect(first.value).toMatchObject({ results: [alice], page: { count: 1 } });
    const { next_token: token } = first.value['page'] as { next_token: string };
    expect(token).not.toBe('');
    const second = await post(search('subject'), { ...users, page: { token } });
    expect(second.value).toMatchObject({ results: [bob], page: { next_token: '', count: 1 } });
    const changed = await post(search('subject'), { ...users, action: act('write'), page: { token } });
    expect(changed.status).toBe(400);
  });

  it('6 says in its metadata where everything is', async () => {
    const { status, headers, value } = await post('/.well-known/authzen-configuration', '');
    expect([status, headers['content-type']]).toEqual([200, 'application/json']);
    const endpoints = Object.entries(value).filter(([name]) => name.endsWith('_endpoint'));
    expect(endpoints.map(([name]) => name).sort()).toEqual([
      'access_evaluation_endpoint',
      'access_evaluations_endpoint',
      'search_action_endpoint',
      'search_resource_endpoint',
      'search_subject_endpoint',
    ]);
    for (const [, url] of endpoints) {
      expect(String(url).startsWith(`${String(value['policy_decision_point'])}/`)).toBe(true);
      const { status } = await post(new URL(String(url)).pathname, {});
      expect(status).toBe(400);
    }
  });
});

describe('a search on a machine that is not trusted', () => {
  it('finds nothing and says why', async () => {
    const post = await agentOf('certification', { isTrusted: false });
    for (const kind of ['subject', 'resource', 'action']) {
      const { status, value } = await post(search(kind), { ...readRecord1, page: { token: 'x', limit: 1 } });
      expect(status).toBe(200);
      expect(value).toMatchObject({
        results: [],
        page: { next_token: '', count: 0 },
        context: { reason: 'not-trusted', state: 'starting' },
      });
    }
  });
});

function batch(options: Json): Json {
  return {
    subject: alice,
    action: act('write'),
    options,
    evaluations: [{ resource: record1 }, { resource: record2 }, { resource: record1 }],
  };
}
