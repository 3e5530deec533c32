import type { Command } from 'commander';

import type { LogHead } from '../attestation/log-line.ts';
import { statusShape } from '../attestation/status.ts';
import { parseSha256 } from '../base/digest.ts';
import type { LogCheck } from '../host/log/check-log.ts';
import { readFileBounded } from '../host/files.ts';
import { askAgent, readAnswer } from './agent-socket.ts';
import { EXIT } from './exit-codes.ts';
import { UsageError } from './failure.ts';
import { addShowVerb } from './log-show.ts';
import { progressBar } from './progress-bar.ts';
import { type Terminal, formatBytes, formatCount, formatSeconds, labelled } from './terminal.ts';
import { type CliContext, action, addVerb, printJson, wholeNumber } from './verb.ts';

/** Where the agent's decision log lies on an instance. */
export const DEFAULT_LOG = '/var/log/sealborn';

type VerifyFlags = { json?: true; head?: string; seq?: number; report?: string; socket?: string };

/** `sealborn log verify | show` */
export function addLogVerbs(program: Command, context: CliContext): void {
  const log = program.command('log').summary('verify and read the log of decisions');
  addShowVerb(log, context);
  addVerb(log, 'verify', {
    summary: 'find an edited, removed, reordered or truncated line of a decision log',
    description:
      'Checks that every line names the SHA-256 of the line before it, so that no line was changed, removed or ' +
      'moved. The end of a log is held only by a head that is kept elsewhere: a report that a collector has, or ' +
      'the running agent. Without one, what was cut off at the end, and a log written anew as a whole, are not found.',
    examples: [
      'sealborn log verify',
      'sealborn log verify --report report.json',
      'sealborn log verify /mnt/disk/var/log/sealborn --head 9f2c…  --seq 48211',
      'sealborn log verify decisions-0000000000000001.jsonl decisions-0000000000050001.jsonl --json',
    ],
    exits: [
      `${EXIT.good}   every line is the one that was written`,
      `${EXIT.no}   broken: the first line that is wrong is named`,
      `${EXIT.refused}   the report is refused`,
      `${EXIT.noInput}  there is no log`,
    ],
  })
    .argument('[places...]', 'a directory, or files of a log', [DEFAULT_LOG])
    .option('--head <sha256>', 'the SHA-256 of the line that is known to be in the log')
    .option('--seq <number>', 'its number', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--report <file>', 'take both from a report, as the collector gives it (GET /v1/reports/…)')
    .option('--socket <path>', 'take both from the running agent')
    .action(
      action<VerifyFlags, [string[]]>(context, async (options, places) => {
        const known = await readKnown(options);
        const { checkLog } = await import('../host/log/check-log.ts');
        const { terminal } = context;
        const bar = progressBar('verifying', terminal);
        let check: LogCheck;
        try {
          check = await checkLog(places, known, bar.update);
        } finally {
          bar.clear();
        }
        if (options.json === true) printJson(terminal, { result: check.break ? 'broken' : 'good', ...check });
        else terminal.out(describe(check, known, terminal));
        return check.break === undefined ? EXIT.good : EXIT.no;
      }),
    );
}

async function readKnown({ head, seq, report, socket }: VerifyFlags): Promise<LogHead | undefined> {
  const ways = [head ?? seq, report, socket].filter((way) => way !== undefined);
  if (ways.length > 1)
    throw new UsageError('give the head once: with --head and --seq, --report, or --socket');
  if (report !== undefined) {
    const { MAX_REPORT_BYTES, verifyReport } = await import('../attestation/report.ts');
    const verified = verifyReport(await readFileBounded(report, MAX_REPORT_BYTES, { follow: true }));
    if (verified.decisionLog === undefined) {
      throw new UsageError(`the report "${report}" says nothing of a decision log`, 'Take a later report.');
    }
    return verified.decisionLog;
  }
  if (socket !== undefined) {
    const { value } = await askAgent(socket, { method: 'GET', path: '/status' });
    const { decisionLog } = readAnswer(statusShape, value, socket);
    return decisionLog.head;
  }
  if (head === undefined && seq === undefined) return undefined;
  if (head === undefined || seq === undefined) throw new UsageError('--head and --seq belong together');
  return { seq, head: parseSha256(head, '--head') };
}

function describe(check: LogCheck, known: LogHead | undefined, { outStyle }: Terminal): string {
  const { first, last, lines, decisions, notLogged, crashes, torn, files, bytes, seconds } = check;
  const rate = seconds > 0.1 ? ` (${formatCount(Math.round(lines / seconds))} lines/s)` : '';
  const rows: [string, string][] = [
    [
      'read',
      `${formatCount(lines)} lines, ${formatBytes(bytes)}, ${files} ${files === 1 ? 'file' : 'files'} in ${formatSeconds(seconds)}${rate}`,
    ],
  ];
  if (first !== undefined && last !== undefined) {
    const rotated = first > 1 ? `: starts at seq ${first}, what was before was rotated out` : '';
    rows.push(['lines', `${first} to ${last.seq}${rotated}`]);
    if (check.break === undefined) rows.push(['head', last.head]);
  }
  rows.push(['decisions', formatCount(decisions)]);
  if (notLogged.blocked > 0)
    rows.push(['blocked', `${formatCount(notLogged.blocked)} denied: they could not be logged`]);
  if (notLogged.dropped > 0) rows.push(['dropped', `${formatCount(notLogged.dropped)} made without a line`]);
  if (crashes > 0)
    rows.push(['crashes', `${crashes}: the last lines before each may never have been written`]);
  if (torn > 0) rows.push(['torn', `${torn} half-written ends were put aside`]);
  if (check.unfinishedBytes > 0) {
    rows.push(['unfinished', `${check.unfinishedBytes} bytes at the end: being written, or cut by a crash`]);
  }
  if (check.break === undefined) rows.push(['checked', headWords(check, known)]);
  if (check.break === undefined)
    return `${outStyle.good(outStyle.strong('good'))}\n${labelled(rows, outStyle)}`;
  const { kind, file, line, seq, message } = check.break;
  const where =
    file === '' ? 'the log is empty' : `${file}:${line}${seq === undefined ? '' : `, seq ${seq}`}`;
  return (
    `${outStyle.bad(outStyle.strong('broken'))}  ${where}: ${message} [${kind}]\n` + labelled(rows, outStyle)
  );
}

function headWords({ head }: LogCheck, known: LogHead | undefined): string {
  if (known === undefined) return 'the chain alone: no head was given, so a cut end is not found';
  return head === 'matched'
    ? `the chain, and line ${known.seq} against the known head`
    : `the chain alone: line ${known.seq} of the known head was rotated out`;
}
