import {
  type DetailedError,
  type EntityJson,
  entityProblems,
  policyHead,
  policyProblems,
  schemaProblems,
  validationProblems,
} from './cedar-wasm.ts';
import { type CompiledPolicy, type PolicyDocument, formatUid, requireUsable } from './document.ts';
import { requireExactIntegers } from './exact-integers.ts';
import type { SourcedEntity } from './entities.ts';
import { PolicyError, type PolicyErrorCode } from './policy-error.ts';
import { type PolicySource, columnAt, lineAt, splitPolicies } from './split-policies.ts';

/** A text file of a policy repository. */
export type TextFile = { file: string; text: string };

export type PolicySources = {
  policies: readonly TextFile[];
  schema: TextFile;
  entities: readonly SourcedEntity[];
  openTypes: readonly string[];
};

type Placed = CompiledPolicy & { source: PolicySource; whole: string };

/** Problems shown of one kind at most; a person mends a few at a time. */
const MAX_SHOWN = 20;

/**
 * Compiles a policy repository: parses every policy and the schema, validates the policies strictly, checks
 * the entities against the schema.
 * @throws PolicyError, with file, line and column of every problem
 */
export function compilePolicy(sources: PolicySources): PolicyDocument {
  const { schema } = sources;
  throwProblems(
    'schema-syntax',
    schemaProblems(schema.text).map((error) => located(schema.file, schema.text, 0, error)),
  );
  const placed = sources.policies.flatMap((file) => readPolicies(file));
  const document: PolicyDocument = {
    format: 1,
    schema: schema.text,
    policies: placed.map(({ id, file, line, effect, text }) => ({ id, file, line, effect, text })),
    entities: sources.entities.map(({ entity }) => entity),
    openTypes: [...new Set(sources.openTypes)].sort(),
  };
  requireNoTwins(sources.entities);
  requireUsable(document);
  validatePolicies(placed, schema.text);
  validateEntities(sources);
  return document;
}

function readPolicies({ file, text }: TextFile): Placed[] {
  const stem = file.replace(/^.*\//, '').replace(/\.cedar$/, '');
  const pieces = splitPolicies(text);
  const problems = pieces.flatMap((source) =>
    policyProblems(`${source.text};`).map((error) => located(file, text, source.start, error)),
  );
  throwProblems('policy-syntax', problems);
  return pieces.map((source, index) => {
    const { effect, id } = policyHead(`${source.text};`);
    // Without an @id a policy is named by its place among the policies of its file.
    const name = id ?? `${stem}-${index + 1}`;
    return { id: name, file, line: source.line, effect, text: `${source.text};`, source, whole: text };
  });
}

function validatePolicies(placed: readonly Placed[], schema: string): void {
  const texts = Object.fromEntries(placed.map(({ id, text }) => [id, text]));
  const byId = new Map(placed.map((policy) => [policy.id, policy]));
  const problems = validationProblems(texts, schema).map(({ policyId, error }) => {
    const policy = byId.get(policyId);
    if (policy === undefined) return error.message;
    return located(policy.file, policy.whole, policy.source.start, error);
  });
  throwProblems('policy-invalid', problems);
}

function requireNoTwins(entities: readonly SourcedEntity[]): void {
  const seen = new Map<string, SourcedEntity>();
  const problems: string[] = [];
  for (const sourced of entities) {
    const name = formatUid(sourced.entity.uid);
    const other = seen.get(name);
    const where = `${sourced.file}:${sourced.line}`;
    if (other !== undefined) problems.push(`${where}: ${name} stands at ${other.file}:${other.line} already`);
    seen.set(name, sourced);
  }
  throwProblems('entities-invalid', problems);
}

function validateEntities({ entities, schema }: PolicySources): void {
  const problems = entities.flatMap(({ entity, file, line }) =>
    requireExactIntegers(entity).map((problem) => `${file}:${line}: ${formatUid(entity.uid)} ${problem}`),
  );
  throwProblems('entities-invalid', problems);
  const all = entities.map(({ entity }) => entity as EntityJson);
  if (entityProblems(all, schema.text).length === 0) return;
  // Cedar names no place, so each is asked about by itself to find the ones to blame.
  for (const { entity, file, line } of entities) {
    const [error] = entityProblems([entity as EntityJson], schema.text);
    if (error !== undefined) problems.push(`${file}:${line}: ${formatUid(entity.uid)}: ${sentence(error)}`);
  }
  throwProblems(
    'entities-invalid',
    problems.length > 0 ? problems : entityProblems(all, schema.text).map(sentence),
  );
}

function sentence({ message, help }: DetailedError): string {
  const plain = message.replace(/^error during entity deserialization: /, '');
  return help === null ? plain : `${plain} (${help})`;
}

/** Cedar counts places in bytes of UTF-8 from the start of the text it was given. */
function located(file: string, text: string, start: number, error: DetailedError): string {
  const label = error.sourceLocations?.[0];
  const bytes = Buffer.from(text.slice(start), 'utf8').subarray(0, label?.start ?? 0);
  const offset = start + bytes.toString('utf8').length;
  const expected = label?.label === null || label === undefined ? '' : `: ${label.label}`;
  const message = `${error.message.replace(/^failed to parse (?:policies|policy|schema)[^:]*: (?:error parsing schema: )?/, '')}${expected}`;
  const help = error.help === null ? '' : ` (${error.help})`;
  return `${file}:${lineAt(text, offset)}:${columnAt(text, offset)}: ${message}${help}`;
}

function throwProblems(code: PolicyErrorCode, problems: readonly string[]): void {
  if (problems.length === 0) return;
  const more = problems.length > MAX_SHOWN ? [`and ${problems.length - MAX_SHOWN} more`] : [];
  throw new PolicyError(code, [...problems.slice(0, MAX_SHOWN), ...more].join('\n'), {
    hint: 'Mend the named lines and build again; nothing was written.',
  });
}
