import type { Command } from 'commander';

import { MAX_LOG_LINE_BYTES } from '../attestation/log-line.ts';
import { parseEntityUid } from '../base/entity-uid.ts';
import { BaseError } from '../base/errors.ts';
import { type JsonValue, canonicalJson, parseJson } from '../base/json.ts';
import {
  type Problem,
  type Read,
  list,
  moment,
  oneOf,
  optional,
  readShape,
  record,
  text,
  whole,
} from '../base/shape.ts';
import { findLog } from '../host/log/check-log.ts';
import { readLines } from '../host/net/read-lines.ts';
import { EXIT } from './exit-codes.ts';
import { UsageError } from './failure.ts';
import { type Style, labelled } from './terminal.ts';
import { type CliContext, action, addVerb } from './verb.ts';

type ShowFlags = {
  json?: true;
  id?: string;
  subject?: string;
  action?: string;
  resource?: string;
  decision?: string;
  since?: string;
  log: string;
};

/** `sealborn log show` */
export function addShowVerb(log: Command, context: CliContext): void {
  addVerb(log, 'show', {
    summary: 'show decisions, from the id of an answer to release, commit and policy line',
    description:
      'Reads a decision log and prints the decisions that fit all filters, oldest first; with --json, their ' +
      'lines as they are. It verifies nothing: "sealborn log verify" does.',
    examples: [
      'sealborn log show --id 0b9d3f0e-6a53-4c9e-8d3b-2f0f6a8e1c11',
      'sealborn log show --subject User::ana --decision deny --since 2026-11-23T12:00:00Z',
      'sealborn log show --json --action RefundPayment | jq .input',
    ],
    exits: [
      `${EXIT.good}   something was found`,
      `${EXIT.no}   nothing fits`,
      `${EXIT.noInput}  there is no log`,
    ],
  })
    .option('--id <id>', "the decision's id: context.decisionId of an answer")
    .option('--subject <name>', 'Type::id, or as Cedar writes it: Type::"id"')
    .option('--action <name>', 'by its name')
    .option('--resource <name>', 'the same of what was acted on')
    .option('--decision <word>', 'permit or deny')
    .option('--since <time>', 'not before this: RFC 3339')
    .option('--log <place>', 'a directory or file of a log', '/var/log/sealborn')
    .action(
      action<ShowFlags, []>(context, async (options) => {
        const { terminal } = context;
        const fits = filterOf(options);
        const wanted = options.id === undefined ? undefined : Buffer.from(options.id);
        let found = 0;
        for (const path of (await findLog([options.log])).paths) {
          await readLines(path, MAX_LOG_LINE_BYTES, (bytes) => {
            if (wanted !== undefined && bytes.indexOf(wanted) < 0) return false;
            const line = parse(bytes);
            if (line === undefined || !fits(line)) return false;
            found += 1;
            if (options.json === true) terminal.out(`${String(bytes)}\n`);
            else if (wanted === undefined) terminal.out(describeShort(line, terminal.outStyle));
            else terminal.out(describeWhole(line, terminal.outStyle));
            return false;
          });
        }
        if (found === 0 && options.json !== true) terminal.err('no decision fits\n');
        return found === 0 ? EXIT.no : EXIT.good;
      }),
    );
}

// A line may be of a later version, and any part of a question may be masked.
const open = { open: true };
const entity = optional(record({ type: optional(text()), id: optional(text({ max: 65_536 })) }, open));
const lineShape = record(
  {
    type: oneOf('decision', 'search'),
    seq: whole(1),
    decision_id: text(),
    timestamp: moment,
    requested_by: optional(text()),
    via: optional(text()),
    identity: optional(
      record({ subject: optional(text({ max: 65_536 })), shown: optional(list(anything)) }, open),
    ),
    input: optional(anything),
    result: optional(anything),
    reason: optional(text()),
    state: optional(text()),
    policies: optional(list(record({ id: text(), file: text(), line: whole() }, open))),
    erased: optional(list(text({ max: 65_536 }))),
    release: optional(record({ name: text(), version: text(), commit: text() }, open)),
  },
  open,
);
const namesShape = record(
  { subject: entity, action: optional(record({ name: optional(text()) }, open)), resource: entity },
  open,
);
type Line = Read<typeof lineShape>;

function anything(value: unknown): JsonValue {
  return value as JsonValue;
}

function parse(bytes: Buffer): Line | undefined {
  try {
    return readShape(lineShape, parseJson(bytes, 'line', { maxBytes: MAX_LOG_LINE_BYTES }), 'line');
  } catch (thrown) {
    if (thrown instanceof BaseError) return undefined;
    throw thrown;
  }
}

function filterOf(options: ShowFlags): (line: Line) => boolean {
  const { id, action: act, decision } = options;
  const [subject, resource] = [options.subject, options.resource].map(asShown);
  if (decision !== undefined && decision !== 'permit' && decision !== 'deny') {
    throw new UsageError(`--decision "${decision}" is neither permit nor deny`);
  }
  const since = options.since === undefined ? undefined : Date.parse(options.since);
  if (Number.isNaN(since)) {
    throw new UsageError(`--since "${options.since ?? ''}" is no time`, 'For example: 2026-11-23T12:00:00Z');
  }
  return (line) => {
    const asked = namesOf(line);
    return (
      (id === undefined || line.decision_id === id) &&
      (subject === undefined || asked.subject === subject) &&
      (act === undefined || asked.action === act) &&
      (resource === undefined || asked.resource === resource) &&
      (decision === undefined || line.result === (decision === 'permit')) &&
      (since === undefined || Date.parse(line.timestamp) >= since)
    );
  };
}

/** A name as `namesOf` has it; one may be given as Cedar writes it too, which is how every other place shows it. */
function asShown(word: string | undefined): string | undefined {
  const uid = word === undefined ? undefined : parseEntityUid(word);
  return uid === undefined ? word : `${uid.type}::${uid.id}`;
}

type Names = { subject: string; action: string; resource: string };

/** Names of what was asked; a part that was masked, or of what was no question, is `?`. */
function namesOf({ input }: Line): Names {
  const problems: Problem[] = [];
  const read = namesShape(input ?? {}, [], problems);
  const { subject, action: act, resource } = problems.length > 0 ? {} : read;
  const uid = (part: typeof subject): string => `${part?.type ?? '?'}::${part?.id ?? '?'}`;
  return { subject: uid(subject), action: act?.name ?? '?', resource: uid(resource) };
}

function resultOf({ type, result }: Line): 'permit' | 'deny' | 'search' {
  if (type === 'search') return 'search';
  return result === true ? 'permit' : 'deny';
}

function describeShort(line: Line, style: Style): string {
  const { subject, action: act, resource } = namesOf(line);
  const words = `${subject} ${act} ${resource}`;
  return labelled([[line.timestamp, `${resultOf(line)}  ${words}  ${line.decision_id}`]], style);
}

function describeWhole(line: Line, style: Style): string {
  const { subject, action: act, resource } = namesOf(line);
  const rows: [string, string][] = [
    ['at', line.timestamp],
    ['question', `${subject} ${act} ${resource}`],
  ];
  if (line.requested_by !== undefined)
    rows.push(['asked by', `${line.requested_by} over ${line.via ?? '?'}`]);
  if (line.identity !== undefined) {
    const { subject: who, shown = [] } = line.identity;
    rows.push(['identity', `${who ?? '?'} by ${shown.map((one) => canonicalJson(one)).join(' ')}`]);
  }
  if (line.reason !== undefined) rows.push(['because', line.reason]);
  if (line.state !== undefined) rows.push(['state', line.state]);
  for (const { id, file, line: number } of line.policies ?? [])
    rows.push(['policy', `${id}  ${file}:${number}`]);
  if (line.release !== undefined) {
    const { name, version, commit } = line.release;
    rows.push(['release', `${name} ${version}, commit ${commit}`]);
  }
  rows.push(['input', canonicalJson(line.input ?? null)]);
  if (line.erased !== undefined) rows.push(['erased', line.erased.join(' ')]);
  rows.push(['line', `seq ${line.seq}`], ['decision', line.decision_id]);
  const result = resultOf(line);
  const colour = { permit: style.good, deny: style.bad, search: style.warn }[result];
  return `${style.strong(colour(result))}\n${labelled(rows, style)}`;
}
