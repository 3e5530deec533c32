import type { JsonObject, JsonValue } from '../base/json.ts';
import { isObject } from '../base/shape.ts';
import { type PolicyTexts, policyJson, tooDeepForCedar, validationProblems } from './cedar-wasm.ts';
import type { CompiledPolicy, EntityUid } from './document.ts';
import type { SourcedLink } from './entities.ts';
import { markIntegers } from './exact-integers.ts';
import { type TextFile, locate, throwProblems } from './problems.ts';
import { type PolicySource, splitPolicies } from './split-policies.ts';
import { translateExpression } from './translate-expression.ts';

/** A policy or template with the text it came from. */
export type PlacedPolicy = { policy: CompiledPolicy; source: PolicySource; file: TextFile };

/** Brackets inside each other at most: Cedar's parser recurses, on a stack that can't be seen from here. */
const MAX_BRACKETS = 64;

/**
 * Reads the policies of a file with Cedar's parser, without validating them.
 * @throws PolicyError `policy-syntax` with every problem's place
 */
export function readPolicies(file: TextFile): PlacedPolicy[] {
  const stem = file.file.replace(/^.*\//, '').replace(/\.cedar$/, '');
  const problems: string[] = [];
  const placed = splitPolicies(file.text).flatMap((source, index) => {
    const { policy, problems: found } = readPolicy(file, source, `${stem}-${index + 1}`);
    problems.push(...found);
    return policy === undefined ? [] : [{ policy, source, file }];
  });
  throwProblems('policy-syntax', problems);
  return placed;
}

function readPolicy(
  file: TextFile,
  source: PolicySource,
  fallbackId: string,
): { policy?: CompiledPolicy; problems: string[] } {
  const at = (message: string): { problems: string[] } => ({
    problems: [locate(file, source.start, { message, help: null, start: 0, expected: null })],
  });
  if (source.depth > MAX_BRACKETS) return at(`brackets nest more than ${MAX_BRACKETS} deep`);
  const kind = source.isTemplate ? 'template' : 'policy';
  const parsed = policyJson(source.text, kind);
  if ('problems' in parsed) {
    return { problems: parsed.problems.map((problem) => locate(file, source.start, problem)) };
  }
  const marked = markIntegers(source.text);
  const exact = marked === undefined ? parsed : policyJson(marked.text, kind);
  if ('problems' in exact) return at('an integer of this policy could not be read without rounding it');
  const { effect, principal, action, resource, conditions, annotations } = exact.json;
  // The id comes from the text as it was: marking must not reach a name.
  const id = isObject(annotations) ? annotations['id'] : undefined;
  try {
    const policy: CompiledPolicy = {
      // Without an @id a policy is named by its place among the policies of its file.
      id: typeof id === 'string' && id !== '' ? id : fallbackId,
      file: file.file,
      line: source.line,
      effect: effect as 'permit' | 'forbid',
      principal: principal as JsonObject,
      action: action as JsonObject,
      resource: resource as JsonObject,
      conditions: (conditions as JsonValue[]).map((condition) => {
        const { kind: word, body } = condition as { kind: 'when' | 'unless'; body: JsonValue };
        return { kind: word, body: translateExpression(body, marked?.marker) };
      }),
    };
    return { policy, problems: [] };
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    return at(thrown.message);
  }
}

/**
 * Fills the slots of templates. A link is a policy of its own, placed where the link is written.
 * @throws PolicyError `policy-invalid` with the place of each bad link, and of each template without one: a forbid that
 * nobody linked would be missed by nobody
 */
export function linkTemplates(
  templates: readonly PlacedPolicy[],
  links: readonly SourcedLink[],
): CompiledPolicy[] {
  const byId = new Map(templates.map(({ policy }) => [policy.id, policy]));
  const problems: string[] = [];
  const policies = links.flatMap(({ link, file, line }): CompiledPolicy[] => {
    const template = byId.get(link.template);
    if (template === undefined) {
      problems.push(`${file}:${line}: link "${link.id}": there is no template "${link.template}"`);
      return [];
    }
    const filled = { ...template, id: link.id, file, line };
    for (const role of ['principal', 'resource'] as const) {
      const slot = `?${role}`;
      const value = link.values[role];
      const hasSlot =
        JSON.stringify(template[role]).includes(`{"slot":"${slot}"}`) || template[role]['slot'] === slot;
      if (hasSlot !== (value !== undefined)) {
        problems.push(
          `${file}:${line}: link "${link.id}": the template "${template.id}" ${hasSlot ? 'needs' : 'has no'} ${slot}`,
        );
      } else if (value !== undefined) filled[role] = fillSlot(template[role], value);
    }
    return [filled];
  });
  throwProblems('policy-invalid', problems);
  const linked = new Set(links.map(({ link }) => link.template));
  throwProblems(
    'policy-invalid',
    templates.flatMap(({ policy: { id, file, line } }) =>
      linked.has(id)
        ? []
        : [`${file}:${line}: the template "${id}" has no link in entities/, so it decides nothing`],
    ),
  );
  return policies;
}

function fillSlot(scope: JsonObject, { type, id }: EntityUid): JsonObject {
  const { slot, in: group, ...rest } = scope;
  if (slot !== undefined) return { ...rest, entity: { type, id } };
  return isObject(group) ? { ...rest, in: { entity: { type, id } } } : scope;
}

/**
 * Validates policies, templates and links strictly against the schema.
 * @throws PolicyError `policy-invalid`
 */
export function validatePolicies(
  placed: readonly PlacedPolicy[],
  links: readonly SourcedLink[],
  schema: TextFile,
): void {
  throwProblems(
    'policy-invalid',
    placed.flatMap(({ policy, file, source }) => {
      const message = tooDeepForCedar(policy);
      if (message === undefined) return [];
      return [locate(file, source.start, { message, help: null, start: 0, expected: null })];
    }),
  );
  const textsOf = (isTemplate: boolean): Map<string, string> =>
    new Map(
      placed
        .filter(({ source }) => source.isTemplate === isTemplate)
        .map(({ policy, source }) => [policy.id, source.text]),
    );
  const texts: PolicyTexts = {
    policies: textsOf(false),
    templates: textsOf(true),
    links: links.map(({ link: { id, template, values } }) => ({
      id,
      template,
      values: Object.fromEntries(Object.entries(values).map(([role, uid]) => [`?${role}`, uid])),
    })),
  };
  const byId = new Map(placed.map((policy) => [policy.policy.id, policy]));
  const linkById = new Map(links.map((link) => [link.link.id, link]));
  const problems = validationProblems(texts, schema.text).map(({ id, problem }) => {
    const link = linkById.get(id);
    if (link !== undefined) return `${link.file}:${link.line}: ${problem.message}`;
    const policy = byId.get(id);
    return policy === undefined ? problem.message : locate(policy.file, policy.source.start, problem);
  });
  throwProblems('policy-invalid', problems);
}
