import type { TestCase } from '../base/test-case.ts';
import type { PolicyDocument } from '../policy/document.ts';
import { formatUid } from '../policy/document.ts';
import { PolicyError } from '../policy/policy-error.ts';
import { type Schema, fullTypeName, readSchema } from '../policy/schema.ts';

/**
 * Makes what refuses a matrix whose `context` or `properties` name what none of its questions can use: it would be
 * decided without, so that a test with a misspelt field passes for another reason than its author thinks. It throws
 * PolicyError `tests-invalid` with file and line.
 */
export function createClaimCheck(document: PolicyDocument): (cases: readonly TestCase[]) => void {
  const schema = readSchema(document.schema);
  const baked = new Set(document.entities.map(({ uid }) => formatUid(uid)));
  return (cases) => {
    for (const matrix of Map.groupBy(cases, ({ file, line }) => `${file}:${line}`).values()) {
      const [first] = matrix;
      if (first === undefined) continue;
      const inContext = new Set(matrix.flatMap(({ action }) => contextOf(action, schema)));
      const ofResource = new Set(
        matrix.flatMap(({ resource }) => openAttributesOf(resource, schema, document, baked)),
      );
      for (const name of Object.keys(first.context ?? {})) {
        if (!inContext.has(name)) throw unused(first, `no action of it has "${name}" in its context`);
      }
      for (const name of Object.keys(first.properties ?? {})) {
        if (ofResource.has(name)) continue;
        throw unused(
          first,
          `a request can give "${name}" to none of its resources: their type must have it and be in openTypes, and entities/ must not hold them`,
        );
      }
    }
  };
}

function contextOf(action: string, { actions }: Schema): string[] {
  const named = actions.filter(({ uid }) => uid.id === action || formatUid(uid) === action);
  return named.flatMap(({ context }) => [...context.attributes.keys()]);
}

/** What a request may say of the resource. */
function openAttributesOf(
  { type, id }: TestCase['resource'],
  schema: Schema,
  { openTypes }: PolicyDocument,
  baked: ReadonlySet<string>,
): string[] {
  const full = fullTypeName(type, schema);
  if (full === undefined || !openTypes.includes(full) || baked.has(formatUid({ type: full, id }))) return [];
  return [...(schema.entityTypes.get(full)?.attributes.attributes.keys() ?? [])];
}

function unused({ file, line, test }: TestCase, problem: string): PolicyError {
  return new PolicyError('tests-invalid', `${file}:${line}: ${test}: ${problem}`, {
    hint: 'Names must be those of schema.cedarschema.',
  });
}
