/*
 * npm run -s bench:declog -- [--json]
 *
 * What the decision log adds to a decision: the processor's time of making, hashing, writing and syncing its line,
 * beside no log, beside pino writing the same fields (unchained, one write a batch), and beside an appendFile for
 * each line (what one would write first). Decisions come 32 each millisecond, as from 32 clients. Then how fast
 * `sealborn log verify` reads what was written.
 */
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { destination, pino } from 'pino';

import { startDecisionLog } from '../src/agent/decide/decision-log.ts';
import type { Decided } from '../src/agent/decide/decider.ts';
import { parseSettings } from '../src/agent/settings.ts';
import { sha256 } from '../src/base/digest.ts';
import { checkLog } from '../src/host/log/check-log.ts';
import { SILENT_LOG } from '../src/host/log/log.ts';

const TURN = 32;
const DECISIONS = 100_000;
const APPENDS = 6_400;

type Row = {
  what: string;
  decisions: number;
  usDecision: number;
  usAccount: number | null;
  overNoLog: number;
};
type Keeper = { account: (decided: Decided) => unknown; close: () => Promise<void> };

function decided(index: number): Decided {
  return {
    question: {
      subject: { type: 'ServiceAccount', id: 'checkout-web' },
      action: { name: 'CreatePayment' },
      resource: { type: 'Ledger', id: `ledger-${index % 1000}` },
      context: { amount: 1999, currency: 'EUR', ip: '10.0.0.1' },
    },
    answer: {
      decision: true,
      context: {
        reason: 'permit',
        policies: [{ id: 'writers-create-payments', file: 'policies/roles.cedar', line: 3 }],
        release: { name: 'payments', version: '1.4.0', commit: 'a'.repeat(40) },
        decisionId: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
      },
    },
    asked: { via: 'http', client: 'unix:uid=0,gid=0,pid=1' },
    seconds: 0.000_001,
  };
}

/**
 * Processor time (user and system, all threads) a decision, and the time of the call alone, once a tenth as many were
 * made before: what V8 compiles and a thread that starts are not counted.
 */
async function measure(keeper: Keeper, count: number): Promise<{ cpu: number; account: number }> {
  await ask(keeper, warmUp(count));
  const before = process.cpuUsage();
  const account = await ask(keeper, count);
  await keeper.close();
  const { user, system } = process.cpuUsage(before);
  return { cpu: (user + system) / count, account: (account * 1000) / count };
}

/** A tenth as many, in whole batches. */
function warmUp(count: number): number {
  return Math.ceil(count / 10 / TURN) * TURN;
}

/** Asks so many, a batch each millisecond; gives the milliseconds that the calls took. */
async function ask(keeper: Keeper, count: number): Promise<number> {
  let account = 0;
  for (let index = 0; index < count; index += TURN) {
    const batch = Array.from({ length: TURN }, (_, at) => decided(index + at));
    const start = performance.now();
    for (const one of batch) keeper.account(one);
    account += performance.now() - start;
    await sleep(1);
  }
  return account;
}

async function openLog(directory: string): Promise<Keeper> {
  const id = {
    name: 'payments',
    version: '1.4.0',
    sequence: 1,
    environment: 'production',
    commit: 'a'.repeat(40),
    digest: sha256('release'),
  };
  const log = await startDecisionLog({
    settings: parseSettings(Buffer.from(`logDirectory: ${directory}`), 'agent.yaml'),
    release: { id, rules: { whenFull: 'block', mask: ['/input/context/password'] } },
    log: SILENT_LOG,
    now: () => new Date(),
  });
  return {
    account: (one) => {
      if (log.account(one) !== one.answer) throw new Error('a decision was not logged: the disk is too slow');
    },
    close: log.close,
  };
}

function openPino(file: string): Keeper {
  const lines = destination({ dest: file, sync: false, minLength: 64 * 1024, maxWrite: 1024 * 1024 });
  const logger = pino({ base: null }, lines);
  return {
    account: (one) =>
      logger.info({ ...one.answer.context, result: one.answer.decision, input: one.question }),
    close: async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      lines.flush(() => resolve());
      await promise;
      lines.end();
    },
  };
}

function openAppend(file: string): Keeper {
  const writing: Promise<void>[] = [];
  return {
    account: (one) =>
      writing.push(appendFile(file, `${JSON.stringify({ ...one.answer, input: one.question })}\n`)),
    close: async () => void (await Promise.all(writing)),
  };
}

const directory = await mkdtemp(join(tmpdir(), 'sealborn-bench-'));
try {
  const log = join(directory, 'log');
  const none: Keeper = { account: () => undefined, close: async () => undefined };
  const floor = await measure(none, DECISIONS);
  const rows: Row[] = [];
  const add = (what: string, decisions: number, { cpu, account }: { cpu: number; account: number }): Row => {
    const row = {
      what,
      decisions,
      usDecision: round(cpu - floor.cpu),
      usAccount: round(account),
      overNoLog: round(cpu / floor.cpu),
    };
    rows.push(row);
    return row;
  };
  const ours = add('decision log', DECISIONS, await measure(await openLog(log), DECISIONS));
  const plain = add('pino', DECISIONS, await measure(openPino(join(directory, 'pino')), DECISIONS));
  const each = add('appendFile', APPENDS, await measure(openAppend(join(directory, 'append')), APPENDS));
  const check = await checkLog([log], undefined);
  if (check.break !== undefined || check.decisions !== DECISIONS + warmUp(DECISIONS))
    throw new Error('the log is not whole');
  const goals = [
    goal('processor time that the log adds to a decision', ours.usDecision, 'us', 5),
    goal('time of the call in the path of a decision', ours.usAccount ?? 0, 'us', 5),
  ];
  const ratios = {
    overPino: round(ours.usDecision / plain.usDecision),
    overAppendFile: round(ours.usDecision / each.usDecision),
  };
  const verify = { linesPerSecond: Math.round(check.lines / check.seconds), bytes: check.bytes };
  if (process.argv.includes('--json')) {
    process.stdout.write(`${JSON.stringify({ bench: 'declog', goals, rows, ratios, verify }, null, 2)}\n`);
  } else {
    console.table(rows);
    console.table(goals);
    process.stdout.write(
      `usDecision: processor time a decision, less that of no log (${round(floor.cpu)} us); usAccount: the call alone.\n` +
        `The log costs ${ratios.overPino} of what pino does, ${ratios.overAppendFile} of an appendFile each.\n` +
        `log verify: ${verify.linesPerSecond} lines/s\n`,
    );
  }
} finally {
  await rm(directory, { recursive: true });
}

function goal(name: string, value: number, unit: string, wanted: number): object {
  return { name, value, unit, goal: wanted, met: value <= wanted };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
