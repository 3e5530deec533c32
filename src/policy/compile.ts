import { schemaJson } from './cedar-wasm.ts';
import { compileEntities } from './compile-entities.ts';
import { linkTemplates, readPolicies, validatePolicies } from './compile-policies.ts';
import { type PolicyDocument, requireDistinct, requireUsable } from './document.ts';
import type { EntitySource } from './entities.ts';
import { PolicyError } from './policy-error.ts';
import { type TextFile, locate, throwProblems } from './problems.ts';
import { type Schema, readSchema } from './schema.ts';

export type { TextFile } from './problems.ts';

export type PolicySources = {
  policies: readonly TextFile[];
  schema: TextFile;
  entities: readonly EntitySource[];
  openTypes?: readonly string[];
};

/**
 * Compiles a policy repository: parses every policy and the schema, fills templates, validates all of it
 * strictly, and checks the entities. The same sources give the same document.
 * @throws PolicyError, with file, line and column of every problem of the first kind found
 */
export function compilePolicy(sources: PolicySources): PolicyDocument {
  const { json: schema, rules } = readSchemaText(sources.schema);
  const placed = sources.policies.flatMap((file) => readPolicies(file));
  const links = sources.entities.filter((source) => 'link' in source);
  const entities = sources.entities.filter((source) => 'entity' in source);
  const templates = placed.filter(({ source }) => source.isTemplate);
  const linked = linkTemplates(templates, links);
  requireDistinct([...placed.map(({ policy }) => policy), ...linked]);
  const document: PolicyDocument = {
    format: 1,
    schema,
    policies: [...placed.filter(({ source }) => !source.isTemplate).map(({ policy }) => policy), ...linked],
    entities: [],
    openTypes: openTypesOf(sources.openTypes ?? [], rules),
  };
  requireUsable(document);
  validatePolicies(placed, links, sources.schema);
  return { ...document, entities: compileEntities(entities, rules, sources.schema) };
}

/**
 * Reads a schema in Cedar's own syntax.
 * @throws PolicyError `schema-syntax` with the place
 */
export function readSchemaText(file: TextFile): { json: PolicyDocument['schema']; rules: Schema } {
  const parsed = schemaJson(file.text);
  if ('problems' in parsed) {
    throwProblems(
      'schema-syntax',
      parsed.problems.map((problem) => locate(file, 0, problem)),
    );
    throw new PolicyError('schema-syntax', `${file.file} does not parse`);
  }
  return { json: parsed.json, rules: readSchema(parsed.json) };
}

/** An open type that no entity can have is a misspelling, and would leave the one that was meant closed. */
function openTypesOf(names: readonly string[], { entityTypes }: Schema): string[] {
  for (const name of names) {
    if (entityTypes.has(name)) continue;
    throw new PolicyError('policy-invalid', `openTypes: the schema has no entity type "${name}"`, {
      hint: `It has ${[...entityTypes.keys()].join(', ')}.`,
    });
  }
  return [...new Set(names)].sort();
}
