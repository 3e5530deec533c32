import { type EntityUid, formatUid } from './document.ts';
import type { Entity } from './entity.ts';
import { parseEntityUid } from '../base/entity-uid.ts';
import type { EntityStore } from './entity-store.ts';
import type { ActionRules, Schema } from './schema.ts';

export type NamedAction = { rules: ActionRules; entity: Entity };

/** How the words of a request become Cedar's names. */
export type Names = {
  /** The action of this uid, or of this plain name beside a resource and a principal of these types. */
  action: (
    named: EntityUid | { name: string },
    resource: string,
    principal: string,
  ) => NamedAction | undefined;
  /** A type's full name; a name without its namespace will do where one namespace alone has it. */
  type: (name: string) => string;
  /** Every action for such a principal and resource, by the shortest name that `action` takes for it. */
  actionNames: (resource: string, principal: string) => string[];
};

/** Resolves names by the schema. */
export function resolveNames({ actions, entityTypes }: Schema, { intern }: EntityStore): Names {
  const byId = new Map<string, Map<string, NamedAction>>();
  for (const rules of actions) {
    const { type, id } = rules.uid;
    let byType = byId.get(id);
    if (byType === undefined) byId.set(id, (byType = new Map()));
    byType.set(type, { rules, entity: intern(type, id) });
  }
  const fullNames = new Map<string, string>();
  for (const name of entityTypes.keys()) {
    const plain = name.slice(name.lastIndexOf(':') + 1);
    if (!entityTypes.has(plain)) fullNames.set(plain, fullNames.has(plain) ? '' : name);
  }

  const action: Names['action'] = (named, resource, principal) => {
    if ('id' in named) return byId.get(named.id)?.get(named.type);
    const byType = byId.get(named.name);
    if (byType === undefined) {
      const uid = parseEntityUid(named.name);
      return uid && byId.get(uid.id)?.get(uid.type);
    }
    const [first] = byType.values();
    if (byType.size === 1) return first;
    // One name in several namespaces: that of the resource is meant, else that of the principal, else the one
    // without a name.
    const [type = ''] = [actionType(resource), actionType(principal), 'Action'].filter((one) =>
      byType.has(one),
    );
    return byType.get(type);
  };
  return {
    action,
    type: (name) => (entityTypes.has(name) ? name : fullNames.get(name) || name),
    actionNames: (resource, principal) =>
      actions
        .filter(({ principals, resources }) => principals.has(principal) && resources.has(resource))
        .map((rules) => {
          const { id } = rules.uid;
          const isPlain = action({ name: id }, resource, principal)?.rules === rules;
          return isPlain ? id : formatUid(rules.uid);
        }),
  };
}

function actionType(near: string): string {
  return `${near.slice(0, near.lastIndexOf(':') + 1)}Action`;
}
