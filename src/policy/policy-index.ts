import { type Entity, isIn, sameEntity } from './entity.ts';
import type { LoadedPolicy, LoadedScope } from './load-policy.ts';

/** Policies that may apply to a question, found without looking at the others. */
export type PolicyIndex = {
  /**
   * Calls `visit` once for each policy whose scope holds, in no particular order. Not re-entrant.
   */
  search: (
    principal: Entity,
    action: Entity,
    resource: Entity,
    visit: (policy: LoadedPolicy) => void,
  ) => void;
};

/** What a scope can be found by: the entity it names, else the type it names, else nothing. */
type Key = Entity | string | null;
/** Policies by their principal's key, then by their resource's. */
type Tree = Map<Key, Map<Key, LoadedPolicy[]>>;

/**
 * Indexes policies by action, principal and resource. A question looks up its principal, the principal's type
 * and ancestors, and the same of the resource; what no policy names costs nothing.
 */
export function indexPolicies(policies: readonly LoadedPolicy[]): PolicyIndex {
  const anyAction: Tree = new Map();
  const exactly = new Map<Entity, Tree>();
  const within = new Map<Entity, Tree>();
  for (const policy of policies) {
    const { op, entities } = policy.action;
    if (op === 'any') insert(anyAction, policy);
    for (const action of new Set(entities)) insert(treeOf(op === '==' ? exactly : within, action), policy);
  }

  const plans = new Map<Entity, readonly Tree[]>();
  const planOf = (action: Entity): readonly Tree[] => {
    const known = plans.get(action.named);
    if (known !== undefined) return known;
    const trees = [
      anyAction,
      exactly.get(action),
      ...[action, ...action.ancestry.list].map((group) => within.get(group)),
    ].filter((tree) => tree !== undefined && tree.size > 0) as Tree[];
    // An action that only a request names is not remembered: requests must not grow the memory.
    if (action.exists || exactly.has(action) || within.has(action)) plans.set(action, trees);
    return trees;
  };

  let search = 0;
  const byPrincipal: Map<Key, LoadedPolicy[]>[] = [];
  const found: LoadedPolicy[][] = [];
  return {
    search: (principal, action, resource, visit) => {
      search += 1;
      for (const tree of planOf(action)) {
        byPrincipal.length = 0;
        collect(tree, principal, byPrincipal);
        for (const branch of byPrincipal) {
          found.length = 0;
          collect(branch, resource, found);
          for (const bucket of found) {
            for (const policy of bucket) {
              // A policy that names several actions stands in several trees.
              if (policy.lastSearch === search) continue;
              policy.lastSearch = search;
              if (fits(policy.principal, principal) && fits(policy.resource, resource)) visit(policy);
            }
          }
        }
      }
    },
  };
}

function insert(tree: Tree, policy: LoadedPolicy): void {
  const key = keyOf(policy.principal);
  let branch = tree.get(key);
  if (branch === undefined) tree.set(key, (branch = new Map()));
  const bucket = branch.get(keyOf(policy.resource));
  if (bucket === undefined) branch.set(keyOf(policy.resource), [policy]);
  else bucket.push(policy);
}

function treeOf(trees: Map<Entity, Tree>, action: Entity): Tree {
  let tree = trees.get(action);
  if (tree === undefined) trees.set(action, (tree = new Map()));
  return tree;
}

function keyOf({ entity, type }: LoadedScope): Key {
  return entity ?? type ?? null;
}

/** Adds what stands under the entity, its ancestors, its type and under nothing; each key once. */
function collect<T>(map: ReadonlyMap<Key, T>, entity: Entity, into: T[]): void {
  const unscoped = map.get(null);
  if (unscoped !== undefined) into.push(unscoped);
  const ofType = map.get(entity.type);
  if (ofType !== undefined) into.push(ofType);
  const { list } = entity.ancestry;
  if (list.length > map.size) {
    // One in thousands of groups: cheaper to go through the few entities that policies name.
    for (const [key, value] of map) if (isEntity(key) && isIn(entity, key)) into.push(value);
    return;
  }
  const own = map.get(entity.named);
  if (own !== undefined) into.push(own);
  for (const ancestor of list) {
    const value = map.get(ancestor);
    if (value !== undefined) into.push(value);
  }
}

function isEntity(key: Key): key is Entity {
  return typeof key === 'object' && key !== null;
}

/** What the key of a scope did not settle. */
function fits({ op, entity, type }: LoadedScope, of: Entity): boolean {
  if (type !== undefined && of.type !== type) return false;
  return op !== '==' || entity === undefined || sameEntity(entity, of);
}
