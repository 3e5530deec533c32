import { type EntityUid, formatUid } from '../base/entity-uid.ts';
import type { JsonObject } from '../base/json.ts';
import type { TestCase } from '../base/test-case.ts';
import type { PolicyDocument } from '../policy/document.ts';
import { PolicyError } from '../policy/policy-error.ts';
import { type Schema, actionsNamed, fullTypeName, readSchema } from '../policy/schema.ts';

/**
 * Makes what refuses a matrix whose `context` or `properties` name what none of its questions can use: it would be
 * decided without, so that a test with a misspelt field passes for another reason than its author thinks. It throws
 * PolicyError `tests-invalid` with file and line.
 */
export function createClaimCheck(document: PolicyDocument): (cases: readonly TestCase[]) => void {
  const schema = readSchema(document.schema);
  let names: ReadonlySet<string> | undefined;
  const isBaked = (uid: EntityUid): boolean =>
    (names ??= new Set(document.entities.map((entity) => formatUid(entity.uid)))).has(formatUid(uid));
  /** What a request may say of a resource. */
  const openAttributesOf = ({ type, id }: TestCase['resource']): string[] => {
    const full = fullTypeName(type, schema);
    if (full === undefined || !document.openTypes.includes(full) || isBaked({ type: full, id })) return [];
    return [...(schema.entityTypes.get(full)?.attributes.attributes.keys() ?? [])];
  };
  return (cases) => {
    const claiming = cases.filter((one) => one.context !== undefined || one.properties !== undefined);
    for (const matrix of Map.groupBy(claiming, ({ file, line }) => `${file}:${line}`).values()) {
      const [first] = matrix;
      if (first === undefined) continue;
      requireKnown(
        first.context,
        () => [...new Set(matrix.map(({ action }) => action))].flatMap((action) => contextOf(action, schema)),
        (name) => unused(first, `no action of it has "${name}" in its context`),
      );
      requireKnown(
        first.properties,
        () => matrix.flatMap(({ resource }) => openAttributesOf(resource)),
        (name) =>
          unused(
            first,
            `a request can give "${name}" to none of its resources: their type must have it and be in openTypes, and entities/ must not hold them`,
          ),
      );
    }
  };
}

function requireKnown(
  claims: JsonObject | undefined,
  known: () => string[],
  refusal: (name: string) => PolicyError,
): void {
  if (claims === undefined) return;
  const names = new Set(known());
  const other = Object.keys(claims).find((name) => !names.has(name));
  if (other !== undefined) throw refusal(other);
}

function contextOf(action: string, schema: Schema): string[] {
  return actionsNamed(action, schema).flatMap(({ context }) => [...context.attributes.keys()]);
}

function unused({ file, line, test }: TestCase, problem: string): PolicyError {
  return new PolicyError('tests-invalid', `${file}:${line}: ${test}: ${problem}`, {
    hint: 'Names must be those of schema.cedarschema.',
  });
}
