import { AccessError } from '../access/access-error.ts';
import type { AccessDocument } from '../access/document.ts';
import type { Route, Values } from '../access/rules.ts';
import { type EntityUid, formatUid } from '../base/entity-uid.ts';
import type { PolicyDocument } from '../policy/document.ts';
import { type ActionRules, type Schema, actionsNamed, fullTypeName, readSchema } from '../policy/schema.ts';

/**
 * Holds what `access/` names against the schema and the entities: an action, type, attribute or subject that is
 * not there is a misspelling, and would show only as a deny on the host.
 * @throws AccessError `access-invalid` with all of them
 */
export function checkAccess(access: AccessDocument, document: PolicyDocument): void {
  const schema = readSchema(document.schema);
  const problems = [
    ...access.routes.flatMap((route) =>
      problemsOf(route, schema, document).map(
        (problem) => `${route.file}:${route.line}: "${route.template.text}": ${problem}`,
      ),
    ),
    ...identityProblems(access, schema, document),
  ];
  if (problems.length === 0) return;
  throw new AccessError('access-invalid', problems.slice(0, 20).join('\n'), {
    hint: 'Names must be those of schema.cedarschema and entities/*.yaml.',
  });
}

function problemsOf(route: Route, schema: Schema, { openTypes }: PolicyDocument): string[] {
  const type = fullTypeName(route.resource.type, schema);
  if (type === undefined) return [`the schema has no entity type "${route.resource.type}"`];
  const named = actionsNamed(route.action, schema);
  if (named.length === 0) return [`the schema has no action "${route.action}"`];
  const rules = named.find(({ resources }) => resources.has(type));
  if (rules === undefined) return [`"${route.action}" does not apply to a resource of type ${type}`];
  const problems = contextProblems(route.context, rules);
  if (route.properties === undefined) return problems;
  if (!openTypes.includes(type)) {
    problems.push(`it gives properties of ${type}, which sealborn.yaml does not list in openTypes`);
  }
  const known = schema.entityTypes.get(type)?.attributes.attributes;
  for (const name of route.properties.keys()) {
    if (known?.has(name) !== true) problems.push(`${type} has no attribute "${name}"`);
  }
  return problems;
}

/** What the action's context does not know, what it must have and does not get, and what is of another type. */
function contextProblems(
  context: Values | undefined,
  { uid, context: { attributes } }: ActionRules,
): string[] {
  const problems: string[] = [];
  for (const [name, source] of context ?? []) {
    const kind = attributes.get(name)?.type.kind;
    const given =
      'value' in source ? KINDS[typeof source.value as keyof typeof KINDS] : KINDS[source.as ?? 'string'];
    if (kind === undefined) problems.push(`the context of ${formatUid(uid)} has no attribute "${name}"`);
    else if ((kind === 'long' || kind === 'bool' || kind === 'string') && kind !== given) {
      problems.push(`the context's attribute "${name}" is a ${kind}, but is given as a ${given}`);
    }
  }
  for (const [name, { required }] of attributes) {
    if (required && context?.has(name) !== true) {
      problems.push(`the context of ${formatUid(uid)} must have "${name}", which the route does not give`);
    }
  }
  return problems;
}

const KINDS = { string: 'string', long: 'long', number: 'long', boolean: 'bool' } as const;

function identityProblems(
  { identity, apiKeys }: AccessDocument,
  schema: Schema,
  document: PolicyDocument,
): string[] {
  const baked = new Set(document.entities.map(({ uid }) => formatUid(uid)));
  const subjects: [string, EntityUid][] = apiKeys.map(({ id, subject }) => [`the API key "${id}"`, subject]);
  const problems: string[] = [];
  for (const source of identity) {
    if ('clientCertificate' in source) {
      for (const [name, subject] of source.clientCertificate.subjects) subjects.push([`"${name}"`, subject]);
    } else if ('peer' in source) {
      for (const [name, subject] of source.peer.users ?? []) subjects.push([`the user "${name}"`, subject]);
      for (const [name, subject] of source.peer.groups ?? []) subjects.push([`the group "${name}"`, subject]);
    } else if ('jwt' in source && !schema.entityTypes.has(source.jwt.subject.type)) {
      problems.push(
        `tokens of ${source.jwt.issuer}: the schema has no entity type "${source.jwt.subject.type}"`,
      );
    }
  }
  for (const [whose, subject] of subjects) {
    if (!baked.has(formatUid(subject)))
      problems.push(`${whose} is of ${formatUid(subject)}, which no file of entities/ has`);
  }
  return problems;
}
