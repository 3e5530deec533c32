import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it, onTestFinished } from 'vitest';

import type { DecisionLog } from '../../../src/agent/decide/decision-log.ts';
import type { Answer } from '../../../src/agent/decide/decider.ts';
import type { DecisionLogRules } from '../../../src/base/decision-log-rules.ts';
import type { LogHead } from '../../../src/attestation/log-line.ts';
import { sha256 } from '../../../src/base/digest.ts';
import { parseJson } from '../../../src/base/json.ts';
import { parseEvaluation } from '../../../src/policy/authzen.ts';
import type { EvaluationRequest } from '../../../src/policy/authzen.ts';
import { PolicyError } from '../../../src/policy/policy-error.ts';
import { RELEASE } from '../../attestation/hosts.ts';
import { decided, startLog } from '../log-fixture.ts';
import { checkLog, readLog } from '../read-log.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { until } from '../until.ts';

function permits(log: DecisionLog, count: number): number {
  let permitted = 0;
  for (let index = 0; index < count; index += 1) if (log.account(decided()).decision) permitted += 1;
  return permitted;
}

describe('startDecisionLog', () => {
  it('writes each decision as one line: who, what, why, policy file and line, release and commit', async () => {
    const directory = join(await temporaryDirectory(), 'new', 'log');
    const log = await startLog(directory);
    const one = decided({ amount: 7 });
    expect(log.account(one)).toBe(one.answer);
    await log.close();
    const [first, line, last] = await readLog(directory);
    expect(first).toMatchObject({ seq: 1, previous: null, type: 'start', startsAt: 1, release: RELEASE });
    expect(line).toEqual({
      seq: 2,
      previous: sha256(JSON.stringify(first)),
      type: 'decision',
      decision_id: one.answer.context.decisionId,
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      requested_by: 'unix:uid=33,gid=33,pid=812',
      via: 'http',
      req_id: 'r1',
      input: {
        subject: { type: 'User', id: 'ana' },
        action: { name: 'ReadDocument' },
        resource: { type: 'Document', id: 'd1', properties: { owner: 'bo' } },
        context: { amount: 7 },
      },
      result: true,
      reason: 'permit',
      policies: [{ id: 'read', file: 'policies/documents.cedar', line: 3 }],
      release: { name: RELEASE.name, version: RELEASE.version, commit: RELEASE.commit },
      labels: { role: 'web' },
      metrics: { timer_decision_ns: 1500 },
    });
    expect(last).toMatchObject({ type: 'stop' });
    const [file = ''] = await readdir(directory);
    expect((await stat(join(directory, file))).mode & 0o777).toBe(0o640);
    expect((await stat(directory)).mode & 0o777).toBe(0o750);
    expect(await checkLog(directory, { known: log.head()! })).toMatchObject({
      head: 'matched',
      decisions: 1,
    });
  });

  it('keeps integers beyond 2^53 as they were asked', async () => {
    const directory = await temporaryDirectory();
    const log = await startLog(directory);
    const one = decided();
    one.question = parseEvaluation(
      parseJson(
        '{"subject":{"type":"User","id":"a"},"action":{"name":"b"},"resource":{"type":"D","id":"d"},"context":{"n":9007199254740993}}',
        'test',
        { maxBytes: 1000 },
      ),
    );
    log.account(one);
    await log.close();
    const [name = ''] = await readdir(directory);
    expect(await readFile(join(directory, name), 'utf8')).toContain('"n":9007199254740993');
  });

  it('hands a decision out before its line is made, and has the line after that turn of the event loop', async () => {
    const directory = await temporaryDirectory();
    const log = await startLog(directory);
    let made = 0;
    const one = decided();
    Object.defineProperty(one.question, 'context', { enumerable: true, get: () => (made += 1) });
    expect(log.account(one)).toBe(one.answer);
    expect(made).toBe(0);
    await new Promise(setImmediate);
    expect(made).toBe(1);
    await log.close();
    expect(await checkLog(directory)).toMatchObject({ decisions: 1 });
  });

  it('takes no further decision where a line could not be made, and says that one is missing', async () => {
    const directory = await temporaryDirectory();
    const log = await startLog(directory);
    const one = decided();
    if (one.question instanceof PolicyError) expect.unreachable();
    const toJSON = { enumerable: true, value: () => expect.unreachable() };
    Object.defineProperty(one.question.context, 'toJSON', toJSON);
    expect(log.account(one)).toBe(one.answer);
    await new Promise(setImmediate);
    expect(log.account(decided()).context.reason).toBe('not-logged');
    expect(log.status()).toMatchObject({ notLogged: { blocked: 1, dropped: 1 }, fault: {} });
    await until('recovery', () => log.status().fault === undefined);
    expect(permits(log, 1)).toBe(1);
    await log.close();
    const gap = (await readLog(directory)).find(({ type }) => type === 'gap');
    expect(gap).toMatchObject({ not_logged: 2 });
    expect((await checkLog(directory)).break).toBeUndefined();
  });

  it('goes on with the chain after a restart, in the same file', async () => {
    const directory = await temporaryDirectory();
    for (const count of [3, 0, 5]) {
      const log = await startLog(directory);
      permits(log, count);
      await log.close();
    }
    expect(await readdir(directory)).toHaveLength(1);
    expect(await checkLog(directory)).toMatchObject({ lines: 14, decisions: 8, starts: 3, crashes: 0 });
  });

  it.each<[string, (file: string) => Promise<void>]>([
    ['half a line', (file) => appendFile(file, '{"seq":5,"previous":"')],
    ['blocks of zeros', (file) => appendFile(file, Buffer.alloc(10_000))],
    ['a whole line that is none', (file) => appendFile(file, 'garbage\nmore\n')],
  ])('keeps aside and records %s that a crash left', async (_, damage) => {
    const directory = await temporaryDirectory();
    const first = await startLog(directory);
    permits(first, 2);
    await first.close();
    const [file = ''] = await readdir(directory);
    const before = (await stat(join(directory, file))).size;
    await damage(join(directory, file));
    const torn = (await readFile(join(directory, file))).subarray(before);
    const second = await startLog(directory);
    await second.close();
    const recorded = (await readLog(directory)).find(({ type }) => type === 'torn');
    expect(recorded).toMatchObject({ bytes: torn.length, sha256: sha256(torn) });
    expect(await readFile(join(directory, String(recorded?.['file'])))).toEqual(torn);
    expect(await checkLog(directory)).toMatchObject({ decisions: 2, torn: 1, starts: 2 });
    expect((await checkLog(directory)).break).toBeUndefined();
  });

  it('has what it said is safe after kill -9 in the middle of load, and goes on', async () => {
    const directory = await temporaryDirectory();
    const script = fileURLToPath(new URL('../decision-log-writer.ts', import.meta.url));
    for (let round = 1; round <= 3; round += 1) {
      const writer = spawn(process.execPath, [script, directory], { stdio: ['ignore', 'pipe', 'ignore'] });
      onTestFinished(() => void writer.kill('SIGKILL'));
      let said = '';
      writer.stdout.on('data', (chunk: Buffer) => (said += String(chunk)));
      await until('some syncs', () => said.split('\n').length > 5);
      const ended = once(writer, 'exit');
      writer.kill('SIGKILL');
      await ended;
      const safe = JSON.parse(said.split('\n').at(-2) ?? '') as LogHead;
      const found = await checkLog(directory, { known: safe });
      expect(found.break).toBeUndefined();
      expect(found).toMatchObject({ head: 'matched', starts: round, crashes: round - 1 });
    }
    const log = await startLog(directory);
    permits(log, 1);
    await log.close();
    expect(await checkLog(directory, { known: log.head()! })).toMatchObject({ head: 'matched', crashes: 3 });
  });

  it('does not take a file that somebody removed for one that rotation did', async () => {
    const directory = await temporaryDirectory();
    const log = await startLog(directory, {}, 'fileMegabytes: 0.01, keepMegabytes: 1');
    for (let round = 0; round < 4; round += 1) {
      await until('a further file', async () => {
        permits(log, 5);
        return (await readdir(directory)).length > round + 1;
      });
    }
    await log.close();
    const names = (await readdir(directory)).sort();
    await rm(join(directory, names[0]!));
    const again = await startLog(directory);
    await again.close();
    expect((await checkLog(directory)).break).toMatchObject({ kind: 'start-missing' });
  });

  it('rotates under load within its bound, and says where it starts', async () => {
    const directory = await temporaryDirectory();
    const log = await startLog(directory, {}, 'fileMegabytes: 0.05, keepMegabytes: 0.2');
    let permitted = 0;
    for (let round = 0; round < 60; round += 1) {
      permitted += permits(log, 50);
      await new Promise(setImmediate);
    }
    await until('all synced', () => (log.head()?.seq ?? 0) > permitted);
    await log.close();
    const sizes = await Promise.all(
      (await readdir(directory)).map(async (name) => (await stat(join(directory, name))).size),
    );
    expect(permitted).toBe(3000);
    expect(sizes.length).toBeGreaterThan(1);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(200_000 + 2 * 80_000);
    const summary = await checkLog(directory, { known: log.head()! });
    expect(summary.break).toBeUndefined();
    expect(summary.first).toBeGreaterThan(1);
    expect(summary.head).toBe('matched');
  });

  it.each(['block', 'drop'] as const)(
    'where the directory is no directory: %s, until it is one, and then says how many were not logged',
    async (whenFull) => {
      const directory = join(await temporaryDirectory(), 'log');
      await writeFile(directory, '');
      const log = await startLog(directory, { whenFull });
      const answer = log.account(decided());
      expect(answer.decision).toBe(whenFull === 'drop');
      expect(answer.context.reason).toBe(whenFull === 'drop' ? 'permit' : 'not-logged');
      permits(log, 4);
      const lost = { blocked: whenFull === 'block' ? 5 : 0, dropped: whenFull === 'drop' ? 5 : 0 };
      expect(log.status()).toMatchObject({ whenFull, notLogged: lost, fault: { code: expect.any(String) } });
      await rm(directory);
      await until('recovery', () => log.status().fault === undefined);
      expect(permits(log, 2)).toBe(2);
      await log.close();
      expect(await checkLog(directory)).toMatchObject({ decisions: 2, notLogged: lost });
      expect(log.status()).toMatchObject({ notLogged: lost });
    },
  );

  it('is written by one process: another is refused, until the first has ended, however it did', async () => {
    const directory = await temporaryDirectory();
    const log = await startLog(directory);
    permits(log, 3);
    await expect(startLog(directory)).rejects.toMatchObject({ code: 'directory-in-use' });
    await log.close();
    const other = await startLog(directory);
    permits(other, 1);
    await other.close();
    const script = fileURLToPath(new URL('../decision-log-writer.ts', import.meta.url));
    const killed = spawn(process.execPath, [script, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(killed.stdout, 'data');
    await expect(startLog(directory)).rejects.toMatchObject({ code: 'directory-in-use' });
    killed.kill('SIGKILL');
    await once(killed, 'close');
    await (await startLog(directory)).close();
    expect((await checkLog(directory)).break).toBeUndefined();
  });

  it('notices that its file was removed or cut, and goes on in another', async () => {
    for (const harm of [rm, (path: string): Promise<void> => truncate(path, 3)]) {
      const directory = await temporaryDirectory();
      const log = await startLog(directory);
      permits(log, 1);
      await until('a sync', () => log.head()?.seq === 2);
      const [name = ''] = await readdir(directory);
      await harm(join(directory, name));
      await until('another file', async () => {
        permits(log, 1);
        return (await readdir(directory)).some((other) => other !== name);
      });
      await until('recovery', () => log.status().fault === undefined);
      await log.close();
      expect((await checkLog(directory)).break).toBeDefined();
    }
  });

  it('never keeps more than its bound in memory: a disk that takes nothing is a log that cannot be written', async () => {
    const directory = await temporaryDirectory();
    const log = await startLog(directory);
    const big = { text: 'x'.repeat(60_000) };
    let taken = 0;
    while (log.account(decided(big)).decision && taken < 10_000) taken += 1; // no turn of the loop, so nothing is written
    expect(taken).toBeGreaterThan(200);
    expect(taken).toBeLessThan(400);
    expect(log.status().notLogged.blocked).toBe(1);
    await until('recovery', () => log.status().fault === undefined);
    expect(permits(log, 1)).toBe(1);
    await log.close();
    expect(await checkLog(directory)).toMatchObject({
      decisions: taken + 1,
      notLogged: { blocked: 1, dropped: 0 },
    });
  });
});

describe('masking', () => {
  const secret = 'hunter2';
  async function lineOf(
    context: object,
    rules: Partial<DecisionLogRules> | null,
    change: Partial<Answer['context']> = {},
  ): Promise<{ text: string; line: Record<string, unknown> }> {
    const directory = await temporaryDirectory();
    const log = await startLog(directory, rules);
    log.account(decided(context, change));
    await log.close();
    const [name = ''] = await readdir(directory);
    const text = await readFile(join(directory, name), 'utf8');
    return { text, line: JSON.parse(text.split('\n')[1] ?? '') as Record<string, unknown> };
  }

  it('leaves out what the release names, with the messages that could quote it, and says so', async () => {
    const mask = [
      '/input/context/password',
      '/input/context/list/1',
      '/input/context/a~1b',
      '/input/context/none',
    ];
    const { text, line } = await lineOf(
      { password: secret, list: ['a', secret, 'c'], 'a/b': secret, kept: 1 },
      { mask },
      { errors: [{ id: 'p', message: `"${secret}" is no decimal` }] },
    );
    expect(text).not.toContain(secret);
    expect(line).toMatchObject({
      input: { context: { list: ['a', null, 'c'], kept: 1 } },
      erased: ['/input/context/password', '/input/context/list/1', '/input/context/a~1b'],
      errors: [{ id: 'p' }],
    });
  });

  it("leaves a field of the context out of an action's properties too, which are part of the context", async () => {
    const directory = await temporaryDirectory();
    const log = await startLog(directory, { mask: ['/input/context/a~1b'] });
    const one = decided();
    const action = { name: 'ReadDocument', properties: { 'a/b': secret, kept: 1 } };
    log.account({ ...one, question: { ...(one.question as EvaluationRequest), action } });
    await log.close();
    const [, line] = await readLog(directory);
    expect(line).toMatchObject({
      input: { action: { properties: { kept: 1 } } },
      erased: ['/input/action/properties/a~1b'],
    });
    expect(JSON.stringify(line)).not.toContain(secret);
  });

  it('names who a mask hides by nothing but the kind of what they showed, and no error of theirs', async () => {
    const directory = await temporaryDirectory();
    const log = await startLog(directory, { mask: ['/input/subject/id'] });
    const identity = { subject: { type: 'User', id: 'ana' }, shown: [{ jwt: 'https://id.example' }] };
    const one = decided();
    log.account({ ...one, asked: { ...one.asked, identity } });
    const unread = new PolicyError('request-invalid', 'subject-unknown: the release has no User::"ana"');
    const errors = [{ id: '', message: unread.message }];
    log.account({ ...decided({}, { errors }), question: unread });
    await log.close();
    const [, first, second] = await readLog(directory);
    expect(first?.['identity']).toEqual({ shown: ['jwt'] });
    expect(second?.['errors']).toEqual([{ id: '', message: 'subject-unknown' }]);
    expect(JSON.stringify([first, second])).not.toContain('ana');
  });

  it('without a release, logs names alone', async () => {
    const { text, line } = await lineOf({ password: secret }, null);
    expect(text).not.toContain(secret);
    expect(line).toMatchObject({
      input: { subject: { id: 'ana' }, resource: { id: 'd1' } },
      erased: ['/input/context', '/input/resource/properties'],
    });
  });

  it.each<[string, object]>([
    ['an API key', { key: `sbk_${'a1B'.repeat(16)}x` }],
    ['a token', { jwt: 'eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbmEifQ.c2ln' }],
    ['an Authorization header', { headers: { Authorization: 'opaque-secret' } }],
    ['a bearer value under any name', { x: ['Bearer opaque-secret'] }],
    ['a cookie', { cookie: 'session=opaque-secret' }],
    ['many of them', { list: Array.from({ length: 50 }, () => 'Bearer opaque-secret') }],
    ['a key of a record', { [`sbk_${'a1B'.repeat(16)}x`]: 1 }],
  ])('never writes %s, whatever the release says', async (_, context) => {
    const { text } = await lineOf(context, { mask: [] });
    expect(text).not.toMatch(/opaque-secret|sbk_|eyJ/);
    expect(text).toContain('"erased":["/input/context');
  });

  it('logs of a very large question the names alone', async () => {
    const { line } = await lineOf({ text: 'x'.repeat(70_000) }, {});
    expect(line['input']).toMatchObject({ subject: { id: 'ana' } });
    expect(line['erased']).toContain('/input/context');
  });
});
