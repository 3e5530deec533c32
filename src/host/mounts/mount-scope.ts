import { type BytePath, bytePathOfText, isWithin } from '../../base/byte-path.ts';
import type { MeasureRules } from '../../base/measure-rules.ts';
import { EXTENSION_PATHS, type MountRule } from '../../base/mount-rules.ts';
import { BOUNDS, type Bound } from '../../base/mutable-rules.ts';
import { type Scope, scopeOf } from '../measure/measure-scope.ts';

/** What of a release's rules concerns mounts; paths are below the root of the tree. */
export type MountScope = {
  scope: Scope;
  rules: ReadonlyMap<BytePath, MountRule>;
  /** Where the overlay of a system extension may lie. */
  extensions: ReadonlySet<BytePath>;
  /** Mutable areas, each with what may not be there. */
  areas: ReadonlyMap<BytePath, ReadonlySet<Bound>>;
};

export function mountScopeOf(rules: MeasureRules): MountScope {
  return {
    scope: scopeOf(rules),
    rules: new Map(rules.mounts.map((rule) => [bytePathOfText(rule.path), rule])),
    extensions: new Set(rules.extensions.flatMap((name) => EXTENSION_PATHS[name].map(bytePathOfText))),
    areas: new Map(
      rules.mutable.map(({ path, allow }) => [
        bytePathOfText(path),
        new Set(BOUNDS.filter((bound) => !allow.includes(bound))),
      ]),
    ),
  };
}

/**
 * What a mount at `path` would change: something measured (below a root, or above one, so that it lies under
 * it), the content of a mutable area, or nothing that the rules speak of.
 */
export function placeKind({ scope }: MountScope, path: BytePath): 'measured' | 'mutable' | 'outside' {
  if (scope.mutable.some((area) => isWithin(path, area))) return 'mutable';
  const concerns = scope.roots.some((root) => isWithin(path, root) || isWithin(root, path));
  return concerns ? 'measured' : 'outside';
}
