import { DEFAULT_BUNDLE_DIRECTORY, type MeasureRules } from '../../src/base/measure-rules.ts';

/** Rules of a release that measures everything, but for what `change` says. */
export function rulesWith(change: Partial<MeasureRules> = {}): MeasureRules {
  return {
    roots: ['/'],
    mutable: [],
    absent: [],
    bundle: DEFAULT_BUNDLE_DIRECTORY,
    mounts: [],
    extensions: [],
    ...change,
  };
}
