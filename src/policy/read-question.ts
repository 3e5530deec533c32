import type { JsonObject } from '../base/json.ts';
import { type EntityUid, type PolicyDocument, formatUid } from './document.ts';
import { Entity } from './entity.ts';
import type { EntityStore } from './entity-store.ts';
import { EvaluationError } from './evaluation-error.ts';
import type { Situation } from './expression.ts';
import { type Names, resolveNames } from './names.ts';
import { type ReadingOptions, readRecord, readValue } from './read-value.ts';
import type { ActionRules, EntityTypeRules, RecordType, Schema } from './schema.ts';
import { type CedarRecord, EMPTY_RECORD } from './value.ts';

/** One question. */
export type Question = {
  principal: EntityUid;
  /** An action, or its name alone: then the schema tells its type. */
  action: EntityUid | { name: string };
  resource: EntityUid;
  context: JsonObject;
  /** Attributes that the request claims of its principal and resource. */
  claimed?: { principal?: JsonObject; resource?: JsonObject };
};

/** A part of a question that was not used, or not all of it. */
export type IgnoredPart = 'principal' | 'resource' | 'context';

/**
 * A question made ready, or what is wrong with it: `inapplicable` where the schema knows all of it but the action
 * is not for such a principal or resource, `malformed` where it does not.
 */
export type Asked =
  | { kind: 'ready'; situation: Situation; ignored: IgnoredPart[] }
  | { kind: 'inapplicable' | 'malformed'; problem: string; ignored: IgnoredPart[] };

/**
 * Reads questions against the schema: the action by its full name or by its plain one, entity types likewise,
 * the context and what is claimed by their types. What it hands back is used before the next question is read.
 */
export function readQuestionChecked(
  { openTypes }: Pick<PolicyDocument, 'openTypes'>,
  schema: Schema,
  store: EntityStore,
  names: Names = resolveNames(schema, store),
): (question: Question) => Asked {
  const open = new Map(openTypes.map((type) => [type, schema.entityTypes.get(type)]));
  let described: Entity[] = [];
  let hasLeftOut = false;
  const entity = (type: string, id: string): Entity =>
    (described.length === 0 ? undefined : described.find((one) => one.id === id && one.type === type)) ??
    store.find(type, id) ??
    new Entity(type, id);
  const options: ReadingOptions = { entity, unknown: () => void (hasLeftOut = true) };

  /** The entity, with what the request says of it where it may; false where it may not. */
  const describe = (named: Entity, claims: JsonObject | undefined): Entity | false => {
    if (claims === undefined || Object.keys(claims).length === 0) return named;
    const rules = open.get(named.type);
    // Baked data wins whole: a request adds nothing to an entity that the release holds.
    if (rules === undefined || named.exists) return false;
    const own = new Entity(named.type, named.id, named);
    own.define({ attrs: readClaims(claims, rules, options), tags: EMPTY_RECORD });
    described.push(own);
    return own;
  };

  return ({ principal, action, resource, context, claimed }) => {
    described = [];
    let principalEntity = entity(names.type(principal.type), principal.id);
    let resourceEntity = entity(names.type(resource.type), resource.id);
    const asked = names.action(action, resourceEntity.type, principalEntity.type);
    if (asked === undefined) return malformed(`the schema has no action ${nameOf(action)}`);
    const problem =
      misfit(asked.rules, 'principal', principalEntity, schema) ??
      misfit(asked.rules, 'resource', resourceEntity, schema);
    if (problem !== undefined) return problem;

    const ignored: IgnoredPart[] = [];
    const read = <T>(part: IgnoredPart, run: () => T): T => {
      hasLeftOut = false;
      try {
        const result = run();
        if (hasLeftOut || result === false) ignored.push(part);
        return result;
      } catch (thrown) {
        if (!(thrown instanceof EvaluationError)) throw thrown;
        throw new EvaluationError(`the ${part} does not fit the schema: ${thrown.message}`);
      }
    };
    try {
      if (claimed !== undefined) {
        principalEntity =
          read('principal', () => describe(principalEntity, claimed.principal)) || principalEntity;
        resourceEntity = read('resource', () => describe(resourceEntity, claimed.resource)) || resourceEntity;
      }
      const record = read('context', () => readRecord(context, asked.rules.context, options));
      const situation = {
        principal: principalEntity,
        action: asked.entity,
        resource: resourceEntity,
        context: record,
        described,
      };
      return { kind: 'ready', situation, ignored };
    } catch (thrown) {
      if (!(thrown instanceof EvaluationError)) throw thrown;
      return malformed(thrown.message, ignored);
    }
  };
}

function nameOf(action: Question['action']): string {
  return 'id' in action ? formatUid(action) : JSON.stringify(action.name);
}

function malformed(problem: string, ignored: IgnoredPart[] = []): Asked {
  return { kind: 'malformed', problem, ignored };
}

/** Why an entity does not fit the action, if it does not. */
function misfit(
  rules: ActionRules,
  role: 'principal' | 'resource',
  entity: Entity,
  { entityTypes }: Schema,
): Asked | undefined {
  const types = role === 'principal' ? rules.principals : rules.resources;
  if (!types.has(entity.type)) {
    if (!entityTypes.has(entity.type)) return malformed(`the schema has no entity type ${entity.type}`);
    const problem = `${formatUid(rules.uid)} does not apply to a ${role} of type ${entity.type}`;
    return { kind: 'inapplicable', problem, ignored: [] };
  }
  const isChoice = entityTypes.get(entity.type)?.choices?.has(entity.id) ?? true;
  return isChoice ? undefined : malformed(`${formatUid(entity)} is none of the entities of its type`);
}

/**
 * What a request says of an entity of an open type: any of the attributes that the schema names; others are
 * left out.
 * @throws EvaluationError where one is not of its type: a policy must not decide on half of what was meant
 */
function readClaims(
  claims: JsonObject,
  { attributes }: EntityTypeRules,
  options: ReadingOptions,
): CedarRecord {
  const claimed = [...attributes.attributes].filter(([name]) => Object.hasOwn(claims, name));
  const partial = claimed.map(([name, { type }]) => [name, { type, required: true }] as const);
  return readRecord(claims, { kind: 'record', attributes: new Map(partial) }, options);
}

/** Takes a question as it is; where its context fits the action's, the schema tells how that is written. */
export function readQuestionAsIs(
  { actions }: Schema,
  { find, intern }: EntityStore,
): (question: Question) => Asked {
  const rulesOf = new Map(actions.map((rules) => [intern(rules.uid.type, rules.uid.id), rules]));
  const entity = (type: string, id: string): Entity => find(type, id) ?? new Entity(type, id);
  const options = {
    entity,
    unknown: (): never => {
      throw new EvaluationError('the context has an attribute that the schema does not name');
    },
  };
  return ({ principal, action, resource, context }) => {
    const asked = 'id' in action ? entity(action.type, action.id) : entity('Action', action.name);
    const rules = rulesOf.get(asked);
    const typed = rules === undefined ? undefined : fitting(context, rules.context, options);
    const situation = {
      principal: entity(principal.type, principal.id),
      action: asked,
      resource: entity(resource.type, resource.id),
      context: typed ?? (readValue(context, undefined, options) as CedarRecord),
      described: [],
    };
    return { kind: 'ready', situation, ignored: [] };
  };
}

function fitting(context: JsonObject, type: RecordType, options: ReadingOptions): CedarRecord | undefined {
  try {
    return readRecord(context, type, options);
  } catch (thrown) {
    if (thrown instanceof EvaluationError) return undefined;
    throw thrown;
  }
}
