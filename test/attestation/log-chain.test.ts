import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { type LogCheckOptions, type LogSummary, createLogChecker } from '../../src/attestation/log-chain.ts';
import {
  LOG_LINE_FRAME_BYTES,
  type LogHead,
  formatFields,
  sealLine,
} from '../../src/attestation/log-line.ts';
import { sha256 } from '../../src/base/digest.ts';

type Log = { lines: string[]; head: LogHead };

function sealed(before: LogHead | undefined, text: string): { line: string; after: LogHead } {
  const fields = Buffer.from(text);
  const out = Buffer.alloc(7 + fields.length + LOG_LINE_FRAME_BYTES, 'x');
  const { end, after } = sealLine(before, fields, out, 7);
  expect(out.toString('latin1', 0, 7) + out.toString('latin1', end - 1, end)).toBe('xxxxxxx\n');
  return { line: out.toString('utf8', 7, end - 1), after };
}

/** A log as an agent writes it: a start, decisions, a segment in between. */
function makeLog(decisions: number, options: { skip?: number; startsAt?: number } = {}): Log {
  const { skip = 0, startsAt = 1 } = options;
  const lines: string[] = [];
  let head: LogHead | undefined;
  const add = (fields: string): void => {
    const { line, after } = sealed(head, fields);
    lines.push(line);
    head = after;
  };
  add(formatFields('start', { startsAt: 1 }));
  for (let index = 0; index < decisions; index += 1) {
    if (index === 5) add(formatFields('segment', { startsAt }));
    add(formatFields('decision', { decision_id: `d${index}`, result: index % 2 === 0 }));
  }
  return { lines: lines.slice(skip), head: head! };
}

function check(lines: readonly string[], options: Partial<LogCheckOptions> = {}): LogSummary {
  const checker = createLogChecker({ complete: true, ...options });
  for (const [index, line] of lines.entries()) {
    if (checker.take(Buffer.from(line), { file: 'log', line: index + 1 })) break;
  }
  return checker.finish();
}

describe('sealLine', () => {
  test('a line of the largest number fits into what its frame is said to take', () => {
    const fields = formatFields('decision', { input: { subject: { id: 'Zoë 🐚' } } });
    const head = 'f'.repeat(64) as LogHead['head'];
    const { line, after } = sealed({ seq: Number.MAX_SAFE_INTEGER - 1, head }, fields);
    expect(line).toBe(`{"seq":9007199254740991,"previous":"${head}",${fields}}`);
    expect(after).toEqual({ seq: Number.MAX_SAFE_INTEGER, head: sha256(line) });
    expect(Buffer.byteLength(line) + 1).toBe(Buffer.byteLength(fields) + LOG_LINE_FRAME_BYTES);
  });
});

describe('createLogChecker', () => {
  test('a log as it was written is sound, and counted', () => {
    const { lines, head } = makeLog(10);
    const summary = check(lines, { known: head });
    expect(summary).toEqual({
      lines: 12,
      decisions: 10,
      notLogged: { blocked: 0, dropped: 0 },
      starts: 1,
      crashes: 0,
      torn: 0,
      head: 'matched',
      first: 1,
      last: head,
    });
  });

  test('any one byte changed, line removed, repeated, moved, or the end cut off, is found against the head', () => {
    const { lines, head } = makeLog(12);
    const mutation = fc.oneof(
      fc.record({ kind: fc.constant('byte' as const), at: fc.nat(), bit: fc.nat(7) }),
      fc.record({
        kind: fc.constantFrom('remove' as const, 'repeat' as const, 'cut' as const),
        at: fc.nat(),
      }),
      fc.record({ kind: fc.constant('swap' as const), at: fc.nat(), with: fc.nat() }),
    );
    fc.assert(
      fc.property(mutation, (how) => {
        const changed = mutate(lines, how);
        fc.pre(changed.join('\n') !== lines.join('\n'));
        expect(check(changed, { known: head }).break).toBeDefined();
      }),
      { numRuns: 2000 },
    );
  });

  test.each<[string, string, number, (lines: string[]) => string[]]>([
    ['an edited line', 'edited', 4, (lines) => lines.with(3, lines[3]!.replace('true', 'null'))],
    ['a removed line', 'missing', 4, (lines) => lines.toSpliced(3, 1)],
    [
      'two lines that changed places',
      'out-of-order',
      4,
      (lines) => lines.with(3, lines[4]!).with(4, lines[3]!),
    ],
    ['a line that stands twice', 'out-of-order', 5, (lines) => lines.toSpliced(4, 0, lines[3]!)],
    ['a line of something else', 'malformed', 4, (lines) => lines.with(3, '{"hello": 1}')],
  ])('names %s', (_, kind, at, change) => {
    const { lines, head } = makeLog(10);
    expect(check(change(lines), { known: head }).break).toMatchObject({ kind, line: at });
  });

  test('the end cut off, or the last line edited, is found by the head alone', () => {
    const { lines, head } = makeLog(10);
    expect(check(lines.slice(0, -1)).break).toBeUndefined();
    expect(check(lines.slice(0, -1), { known: head }).break).toMatchObject({ kind: 'truncated', seq: 11 });
    const edited = [...lines.slice(0, -1), lines.at(-1)!.replace('false', 'true ')];
    expect(check(edited).break).toBeUndefined();
    expect(check(edited, { known: head }).break).toMatchObject({ kind: 'head-mismatch', seq: 12 });
    expect(check([], { known: head }).break).toMatchObject({ kind: 'truncated', line: 0 });
  });

  test('what rotation removed is no break, what else is gone at the start is', () => {
    const rotated = makeLog(10, { skip: 6, startsAt: 7 });
    expect(check(rotated.lines, { known: rotated.head })).toMatchObject({ first: 7, head: 'matched' });
    expect(check(rotated.lines).break).toBeUndefined();
    const removed = makeLog(10, { skip: 6, startsAt: 1 });
    expect(check(removed.lines).break).toMatchObject({ kind: 'start-missing', seq: 7 });
    expect(check(removed.lines, { complete: false }).break).toBeUndefined();
    expect(check(makeLog(10, { skip: 8, startsAt: 7 }).lines).break).toMatchObject({ kind: 'start-missing' });
    const early: LogHead = { seq: 3, head: rotated.head.head };
    expect(check(rotated.lines, { known: early })).toMatchObject({ head: 'rotated-away' });
  });

  test('a start without a stop before it is a crash; a gap tells what was not logged', () => {
    let head: LogHead | undefined;
    const lines = [
      formatFields('start', { startsAt: 1 }),
      formatFields('stop', {}),
      formatFields('start', { startsAt: 1 }),
      formatFields('gap', { not_logged: 7, action: 'drop' }),
      formatFields('decision', {}),
      formatFields('start', { startsAt: 1 }),
      formatFields('torn', { bytes: 3 }),
    ].map((fields) => {
      const { line, after } = sealed(head, fields);
      head = after;
      return line;
    });
    expect(check(lines)).toMatchObject({
      starts: 3,
      crashes: 1,
      torn: 1,
      notLogged: { blocked: 0, dropped: 7 },
    });
  });
});

type Mutation =
  | { kind: 'byte'; at: number; bit: number }
  | { kind: 'remove' | 'repeat' | 'cut'; at: number }
  | { kind: 'swap'; at: number; with: number };

function mutate(lines: readonly string[], how: Mutation): string[] {
  const index = how.at % lines.length;
  switch (how.kind) {
    case 'byte': {
      const bytes = Buffer.from(lines.join('\n'));
      const at = how.at % bytes.length;
      bytes[at] = bytes[at]! ^ (1 << how.bit);
      return bytes.toString('latin1').split('\n');
    }
    case 'remove':
      return lines.toSpliced(index, 1);
    case 'repeat':
      return lines.toSpliced(index, 0, lines[index]!);
    case 'cut':
      return lines.slice(0, index);
    case 'swap': {
      const other = how.with % lines.length;
      return lines.with(index, lines[other]!).with(other, lines[index]!);
    }
  }
}
