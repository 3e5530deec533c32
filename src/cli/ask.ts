import type { Command } from 'commander';

import { parseEntityUid } from '../base/entity-uid.ts';
import { BaseError } from '../base/errors.ts';
import { type JsonObject, type JsonValue, parseJson } from '../base/json.ts';
import { type Read, isObject, bool, list, oneOf, optional, record, text, whole } from '../base/shape.ts';
import { DEFAULT_SOCKET, askAgent, readAnswer } from './agent-socket.ts';
import { EXIT } from './exit-codes.ts';
import { UsageError } from './failure.ts';
import { type Terminal, labelled } from './terminal.ts';
import { type CliContext, action, addVerb, printJson } from './verb.ts';

type AskFlags = { json?: true; socket: string; context?: string; properties?: string };

/** `sealborn ask <subject> <action> <resource>` */
export function addAskVerb(program: Command, context: CliContext): void {
  addVerb(program, 'ask', {
    summary: 'ask one authorization question',
    description:
      'Asks the running agent whether a subject may do an action on a resource, and prints the answer with its ' +
      'reason: the policies that decided, each with file and line, and the release they belong to. Subject and ' +
      'resource are written Type::id.',
    examples: [
      'sealborn ask ServiceAccount::checkout-web CreatePayment Ledger::main',
      `sealborn ask User::ana ReadDocument Document::invoice-17 --properties '{"classification": "internal"}'`,
    ],
    exits: [`${EXIT.good}   permitted`, `${EXIT.no}   denied`, `${EXIT.unavailable}  no agent answers`],
  })
    .argument('<subject>', 'who, as Type::id')
    .argument('<action>', 'what, by its name')
    .argument('<resource>', 'on what, as Type::id')
    .option('--context <json>', 'circumstances of the request: a JSON object')
    .option(
      '--properties <json>',
      "the resource's properties, where the release lets a request describe them",
    )
    .option('--socket <path>', "the agent's decision socket", DEFAULT_SOCKET)
    .action(
      action<AskFlags, [string, string, string]>(context, async (options, subject, act, resource) => {
        const properties = readObject(options.properties, '--properties');
        const circumstances = readObject(options.context, '--context');
        const answer = await askAgent(options.socket, {
          method: 'POST',
          path: '/access/v1/evaluation',
          body: {
            subject: readEntity(subject, 'subject'),
            action: { name: act },
            resource: {
              ...readEntity(resource, 'resource'),
              ...(properties === undefined ? {} : { properties }),
            },
            ...(circumstances === undefined ? {} : { context: circumstances }),
          },
        });
        if (answer.status !== 200) throw refusedBy(answer.status, answer.value);
        const decision = readAnswer(answerShape, answer.value, options.socket);
        if (options.json === true) printJson(context.terminal, answer.value);
        else context.terminal.out(describe(decision, context.terminal));
        return decision.decision ? EXIT.good : EXIT.no;
      }),
    );
}

const answerShape = record(
  {
    decision: bool,
    context: optional(
      record(
        {
          reason: optional(oneOf('permit', 'forbid', 'no-permit', 'error', 'not-trusted', 'not-logged')),
          state: optional(text()),
          policies: optional(list(record({ id: text(), file: text(), line: whole() }, { open: true }))),
          release: optional(record({ name: text(), version: text(), commit: text() }, { open: true })),
          decisionId: optional(text()),
        },
        { open: true },
      ),
    ),
  },
  { open: true },
);

function readEntity(word: string, what: string): { type: string; id: string } {
  const { type, id } = parseEntityUid(word) ?? plainName(word);
  if (type === undefined || id === undefined || id === '') {
    throw new UsageError(`the ${what} "${word}" is not of the form Type::id`, 'For example: User::ana');
  }
  return { type, id };
}

/** `Type::id`, where the id holds no "::" and is not quoted. */
function plainName(word: string): { type?: string | undefined; id?: string | undefined } {
  const [, type, id] = /^(.+)::([^"].*)$/s.exec(word) ?? [];
  return { type, id };
}

function readObject(flag: string | undefined, name: string): JsonObject | undefined {
  if (flag === undefined) return undefined;
  try {
    const value = parseJson(flag, name, { maxBytes: 1024 * 1024 });
    if (isObject(value)) return value;
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new UsageError(cause.message, 'Write a JSON object in single quotes.');
  }
  throw new UsageError(`${name} is not a JSON object`, `For example: ${name} '{"amount": 10}'`);
}

function refusedBy(status: number, value: JsonValue): UsageError {
  const said = isObject(value) && typeof value['error'] === 'string' ? value['error'] : JSON.stringify(value);
  return new UsageError(`the agent refused the question with ${status}: ${said}`);
}

const REASONS = {
  permit: 'a policy permits it',
  forbid: 'a policy forbids it',
  'no-permit': 'no policy permits it',
  error: 'a policy could not be evaluated, so the answer is no',
  'not-trusted': 'this machine is not trusted, so every answer is no',
  'not-logged': "the decision log can't be written, and the release lets nothing pass without it",
} as const;

function describe(answer: Read<typeof answerShape>, { outStyle }: Terminal): string {
  const word = answer.decision ? outStyle.good('permit') : outStyle.bad('deny');
  const { reason, state, policies = [], release, decisionId } = answer.context ?? {};
  const rows: [string, string][] = [];
  if (reason !== undefined) {
    rows.push(['because', `${REASONS[reason]}${state === undefined ? '' : ` (state: ${state})`}`]);
  }
  for (const { id, file, line } of policies) rows.push(['policy', `${id}  ${file}:${line}`]);
  if (release !== undefined)
    rows.push(['release', `${release.name} ${release.version}, commit ${release.commit}`]);
  if (decisionId !== undefined) rows.push(['decision', decisionId]);
  return `${outStyle.strong(word)}\n${rows.length === 0 ? '' : labelled(rows, outStyle)}`;
}
