import { DEFAULT_BUNDLE_DIRECTORY, DEFAULT_REHASH, type MeasureRules } from '../../src/base/measure-rules.ts';
import type { MutableArea } from '../../src/base/mutable-rules.ts';

/** Rules of a release that measures everything, but for what is said; a mutable area may be its path alone. */
export function rulesWith({
  mutable = [],
  ...change
}: Partial<Omit<MeasureRules, 'mutable'>> & { mutable?: (string | MutableArea)[] } = {}): MeasureRules {
  return {
    roots: ['/'],
    mutable: mutable.map((area) => (typeof area === 'string' ? { path: area, allow: [] } : area)),
    mutableFiles: [],
    absent: [],
    bundle: DEFAULT_BUNDLE_DIRECTORY,
    mounts: [],
    extensions: [],
    rehash: DEFAULT_REHASH,
    fsVerity: false,
    ...change,
  };
}
