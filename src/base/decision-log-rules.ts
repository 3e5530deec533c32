import { type Reader, list, mapped, oneOf, record, text } from './shape.ts';

/** What a signed release says about the log of its decisions. */
export type DecisionLogRules = {
  /**
   * What becomes of a decision whose line can't be kept (a full disk, a directory that can't be written):
   * `block` makes it a deny, `drop` hands it out and counts it.
   */
  whenFull: 'block' | 'drop';
  /** What is left out of every line: JSON Pointers (RFC 6901) into the line, all below `/input`. */
  mask: string[];
};

/** Where a release says nothing: no decision without its line. */
export const DEFAULT_DECISION_LOG_RULES: DecisionLogRules = { whenFull: 'block', mask: [] };

/** What a question can carry besides names, as pointers: left out where no release says what is secret. */
export const EVERYTHING_CLAIMED: readonly string[] = [
  '/input/context',
  '/input/subject/properties',
  '/input/action/properties',
  '/input/resource/properties',
];

/** Only what was asked can be masked: a line without its decision, policies or release would prove nothing. */
export const maskPointer: Reader<string> = mapped(
  text({
    max: 1024,
    pattern: /^\/input(?:\/(?:[^~/]|~[01])*)+$/,
    is: 'a JSON Pointer (RFC 6901) below "/input", such as "/input/context/password"',
  }),
  (pointer) => {
    const [, part = '', field] = readPointer(pointer);
    if (!['subject', 'action', 'resource', 'context'].includes(part)) {
      throw new Error('must start with /input/subject, /input/action, /input/resource or /input/context');
    }
    if (part !== 'context' && field === undefined) {
      throw new Error(`must name a field of "${part}", not all of it: "${pointer}/properties", say`);
    }
    return pointer;
  },
);

/** Reads the rules out of a release's predicate. */
export const decisionLogRules: Reader<DecisionLogRules> = record({
  whenFull: oneOf('block', 'drop'),
  mask: list(maskPointer, { max: 256 }),
});

/** The keys that a JSON Pointer names, unescaped (RFC 6901 section 4). */
export function readPointer(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** A JSON Pointer of these keys (RFC 6901 section 3). */
export function formatPointer(keys: readonly (string | number)[]): string {
  return keys.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
