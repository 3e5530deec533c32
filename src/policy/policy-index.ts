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

/**
 * What stands under a scope's key: the entity it names, else the type it names, else nothing. Three fields rather than
 * one map, since most have few: with thousands of policies each look into a map waits for memory.
 */
type Level<T> = {
  unscoped: T | undefined;
  byType: Map<string, T> | undefined;
  byEntity: Map<Entity, T> | undefined;
};
/** Policies by their principal's key, then by their resource's. */
type Tree = Level<Level<LoadedPolicy[]>>;

/**
 * Indexes policies by action, principal and resource. A question looks up its principal, the principal's type
 * and ancestors, and the same of the resource; what no policy names costs nothing.
 */
export function indexPolicies(policies: readonly LoadedPolicy[]): PolicyIndex {
  const anyAction: Tree = newLevel();
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
    ].filter((tree) => tree !== undefined && !isEmpty(tree)) as Tree[];
    // An action that only a request names is not remembered: requests must not grow the memory.
    if (action.exists || exactly.has(action) || within.has(action)) plans.set(action, trees);
    return trees;
  };

  let search = 0;
  // Used again for each search, as far as they are filled: to empty a list and fill it anew costs V8 more.
  const byPrincipal: Level<LoadedPolicy[]>[] = [];
  const found: LoadedPolicy[][] = [];
  return {
    search: (principal, action, resource, visit) => {
      search += 1;
      for (const tree of planOf(action)) {
        const branches = collect(tree, principal, byPrincipal);
        for (let at = 0; at < branches; at += 1) {
          const buckets = collect(byPrincipal[at] ?? NOTHING, resource, found);
          for (let next = 0; next < buckets; next += 1) {
            for (const policy of found[next] ?? []) {
              // A policy that names several actions stands in several trees.
              if (policy.isSpread) {
                if (policy.lastSearch === search) continue;
                policy.lastSearch = search;
              }
              const { isSettled } = policy;
              if (isSettled || (fits(policy.principal, principal) && fits(policy.resource, resource))) {
                visit(policy);
              }
            }
          }
        }
      }
    },
  };
}

function newLevel<T>(): Level<T> {
  return { unscoped: undefined, byType: undefined, byEntity: undefined };
}

function isEmpty({ unscoped, byType, byEntity }: Tree): boolean {
  return unscoped === undefined && byType === undefined && byEntity === undefined;
}

function insert(tree: Tree, policy: LoadedPolicy): void {
  under(under(tree, policy.principal, newLevel<LoadedPolicy[]>), policy.resource, () => []).push(policy);
}

/** What stands under the scope's key, made where there is nothing. */
function under<T>(level: Level<T>, { entity, type }: LoadedScope, make: () => T): T {
  if (entity !== undefined) return getOrMake((level.byEntity ??= new Map()), entity, make);
  if (type !== undefined) return getOrMake((level.byType ??= new Map()), type, make);
  return (level.unscoped ??= make());
}

function getOrMake<K, T>(map: Map<K, T>, key: K, make: () => T): T {
  let found = map.get(key);
  if (found === undefined) map.set(key, (found = make()));
  return found;
}

function treeOf(trees: Map<Entity, Tree>, action: Entity): Tree {
  let tree = trees.get(action);
  if (tree === undefined) trees.set(action, (tree = newLevel()));
  return tree;
}

const NOTHING: Level<never> = { unscoped: undefined, byType: undefined, byEntity: undefined };

/**
 * Puts what stands under the entity, its ancestors, its type and under nothing into a list, each key once.
 * @returns how many there are; what the list holds behind them is of an earlier search
 */
function collect<T>({ unscoped, byType, byEntity }: Level<T>, entity: Entity, into: T[]): number {
  let count = 0;
  if (unscoped !== undefined) into[count++] = unscoped;
  const ofType = byType?.get(entity.type);
  if (ofType !== undefined) into[count++] = ofType;
  if (byEntity === undefined) return count;
  const { list } = entity.ancestry;
  if (list.length > byEntity.size) {
    // One in thousands of groups: cheaper to go through the few entities that policies name.
    for (const [key, value] of byEntity) if (isIn(entity, key)) into[count++] = value;
    return count;
  }
  const own = byEntity.get(entity.named);
  if (own !== undefined) into[count++] = own;
  for (const ancestor of list) {
    const value = byEntity.get(ancestor);
    if (value !== undefined) into[count++] = value;
  }
  return count;
}

/** What the key of a scope did not settle. */
function fits({ op, entity, type }: LoadedScope, of: Entity): boolean {
  if (type !== undefined && of.type !== type) return false;
  return op !== '==' || entity === undefined || sameEntity(entity, of);
}
