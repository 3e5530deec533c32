import type { JsonObject } from '../base/json.ts';
import { type EntityJson, decideWithCedar } from './cedar-wasm.ts';
import { type CompiledPolicy, type EntityUid, type PolicyDocument, formatUid } from './document.ts';
import { requireExactIntegers } from './exact-integers.ts';

/** One question. */
export type Question = {
  principal: EntityUid;
  action: EntityUid;
  resource: EntityUid;
  context: JsonObject;
  /** Attributes that the request claims of its principal and resource. */
  claimed?: { principal?: JsonObject; resource?: JsonObject };
};

/** Where a policy that decided was written. */
export type PolicyPlace = { id: string; file: string; line: number };

export type Decision = {
  decision: boolean;
  reason: 'permit' | 'forbid' | 'no-permit' | 'error';
  /** The policies that decided: the permits, the forbids, or the forbid that could not be evaluated. */
  policies: PolicyPlace[];
  /** Policies that could not be evaluated; a question that does not fit the schema has the id `""`. */
  errors: { id: string; message: string }[];
  /** Claimed attributes that were not used: baked data wins, and only open types can be described. */
  ignored?: ('principal' | 'resource')[];
};

export type Engine = { decide: (question: Question) => Decision };

/**
 * Makes what decides out of a policy document. A permit needs a permit policy that applies and no forbid that
 * applies or can't be evaluated: Cedar itself skips a policy that fails, which for a forbid would open what it
 * guards.
 */
export function createEngine(document: PolicyDocument): Engine {
  const policies = Object.fromEntries(document.policies.map(({ id, text }) => [id, text]));
  const byId = new Map(document.policies.map((policy) => [policy.id, policy]));
  const baked = new Set(document.entities.map(({ uid }) => formatUid(uid)));
  const open = new Set(document.openTypes);
  const entities = document.entities as EntityJson[];
  const place = (id: string): PolicyPlace[] => {
    const policy: CompiledPolicy | undefined = byId.get(id);
    return policy === undefined ? [] : [{ id, file: policy.file, line: policy.line }];
  };

  return {
    decide: ({ principal, action, resource, context, claimed = {} }) => {
      const described: EntityJson[] = [];
      const ignored: ('principal' | 'resource')[] = [];
      for (const [role, uid] of [
        ['principal', principal],
        ['resource', resource],
      ] as const) {
        const attrs = claimed[role];
        if (attrs === undefined || Object.keys(attrs).length === 0) continue;
        const usable = open.has(uid.type) && !baked.has(formatUid(uid));
        const twice = described.some((other) => formatUid(other.uid as EntityUid) === formatUid(uid));
        if (usable && !twice) described.push({ uid, attrs: attrs as EntityJson['attrs'], parents: [] });
        else ignored.push(role);
      }
      const [inexact] = requireExactIntegers([context, described]);
      const answer =
        inexact === undefined
          ? decideWithCedar({
              principal,
              action,
              resource,
              context: context as EntityJson['attrs'],
              policies,
              entities: described.length === 0 ? entities : [...entities, ...described],
              schema: document.schema,
            })
          : { type: 'unfit' as const, message: `the request ${inexact}` };
      if (answer.type === 'unfit') {
        const errors = [{ id: '', message: answer.message }];
        return { decision: false, reason: 'error', policies: [], errors, ignored };
      }
      const { errors } = answer;
      const determining = answer.determining.toSorted().flatMap((id) => place(id));
      const failed = errors.filter(({ id }) => byId.get(id)?.effect === 'forbid').map(({ id }) => id);
      if (answer.allow && failed.length > 0) {
        const blamed = failed.toSorted().flatMap((id) => place(id));
        return { decision: false, reason: 'error', policies: blamed, errors, ignored };
      }
      const refusal = determining.length > 0 ? 'forbid' : 'no-permit';
      return {
        decision: answer.allow,
        reason: answer.allow ? 'permit' : refusal,
        policies: determining,
        errors,
        ignored,
      };
    },
  };
}
