import { type DecisionLogRules, decisionLogRules } from '../base/decision-log-rules.ts';
import { type Sha256, sha256 } from '../base/digest.ts';
import { BaseError } from '../base/errors.ts';
import { STATEMENT_TYPE } from '../base/in-toto.ts';
import { canonicalJson, parseJson } from '../base/json.ts';
import { type MeasureRules, measureRules } from '../base/measure-rules.ts';
import {
  type Reader,
  bool,
  digest,
  list,
  moment,
  isObject,
  oneOf,
  readShape,
  record,
  text,
  whole,
} from '../base/shape.ts';
import { BundleError } from './bundle-error.ts';
import { BUNDLE_FILE_LIMITS } from './bundle-files.ts';

export const RELEASE_PREDICATE_TYPE = 'urn:sealborn:release:v1';

/** What a release says about itself, besides the digests of its files. */
export type ReleasePredicate = {
  name: string;
  version: string;
  /** A whole number that only grows from release to release of one name. */
  sequence: number;
  environment: string;
  /** Where the policy came from; `dirty` when the work tree held changes that are in no commit. */
  source: { uri: string; commit: string; dirty: boolean };
  /** RFC 3339, UTC. SOURCE_DATE_EPOCH where it is set, so that a build can be reproduced. */
  builtAt: string;
  /** The program that built it, with its version. */
  builder: string;
  /** The policy tests that passed in the build; `digest` is over the test files. */
  tests: { passed: number; total: number; digest: Sha256 };
  measure: MeasureRules;
  decisionLog: DecisionLogRules;
  /** Versions of the formats of the files. */
  format: { bundle: 1; manifest: 1; policy: 1 };
};

/** The statement of a release: what is signed. */
export type ReleaseStatement = {
  predicate: ReleasePredicate;
  /** The files by name. */
  subjects: { 'manifest.mtree': Sha256; 'policy.json': Sha256 };
};

/** A release's name: it stands in file names, labels and pages, so it is kept plain. */
export const releaseName: Reader<string> = text({
  max: 64,
  pattern: /^[a-z0-9][a-z0-9._-]*$/,
  is: 'lower-case letters, digits, ".", "_" and "-", such as "payments"',
});
/** The version of a release, as its builders write it: `2026.11.23-1`, `1.4.0`. */
export const releaseVersion: Reader<string> = text({
  max: 128,
  pattern: /^[A-Za-z0-9][A-Za-z0-9._+~-]*$/,
  is: 'letters, digits, ".", "_", "+", "~" and "-", such as "1.4.0"',
});
/** An environment's name: `production`, `staging`. */
export const environmentName: Reader<string> = releaseName;

const predicateShape: Reader<ReleasePredicate> = record({
  name: releaseName,
  version: releaseVersion,
  sequence: whole(1),
  environment: environmentName,
  source: record({ uri: text({ min: 0, max: 2048 }), commit: text({ max: 128 }), dirty: bool }),
  builtAt: moment,
  builder: text({ max: 256 }),
  tests: record({ passed: whole(), total: whole(), digest }),
  measure: measureRules,
  decisionLog: decisionLogRules,
  format: record({ bundle: oneOfNumber(1), manifest: oneOfNumber(1), policy: oneOfNumber(1) }),
});

const statementShape = record({
  _type: oneOf(STATEMENT_TYPE),
  subject: list(
    record({ name: oneOf('manifest.mtree', 'policy.json'), digest: record({ sha256: digest }) }),
    { min: 2, max: 2 },
  ),
  predicateType: oneOf(RELEASE_PREDICATE_TYPE),
  predicate: predicateShape,
});

const FORMATS: ReleasePredicate['format'] = { bundle: 1, manifest: 1, policy: 1 };

function oneOfNumber<const N extends number>(wanted: N): Reader<N> {
  return (value, path, problems) => {
    if (value !== wanted) problems.push({ path, message: `must be ${wanted}` });
    return wanted;
  };
}

/**
 * Reads the signed statement of a release. Unlike in-toto's own rule, a field that is not known is refused:
 * a rule that this version does not understand must not be skipped.
 * @throws BundleError `statement-malformed`, `format-unsupported`
 */
export function parseStatement(payload: Uint8Array): ReleaseStatement {
  try {
    const value = parseJson(payload, 'statement', { maxBytes: BUNDLE_FILE_LIMITS['release.dsse.json'] });
    requireKnownFormats(value);
    const statement = readShape(statementShape, value, 'statement');
    const subjects = new Map(statement.subject.map((s) => [s.name, s.digest.sha256]));
    const manifest = subjects.get('manifest.mtree');
    const policy = subjects.get('policy.json');
    if (manifest === undefined || policy === undefined) {
      throw new BundleError('statement-malformed', 'statement: subject: names one file twice');
    }
    return {
      predicate: statement.predicate,
      subjects: { 'manifest.mtree': manifest, 'policy.json': policy },
    };
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new BundleError('statement-malformed', cause.message, { cause });
  }
}

/** Told apart from a malformed statement, because what to do about it differs. */
function requireKnownFormats(value: unknown): void {
  const type = isObject(value) ? value['predicateType'] : undefined;
  const predicate = isObject(value) ? value['predicate'] : undefined;
  const formats = isObject(predicate) ? predicate['format'] : undefined;
  const known =
    (typeof type !== 'string' || type === RELEASE_PREDICATE_TYPE) &&
    (!isObject(formats) || canonicalJson(formats) === canonicalJson(FORMATS));
  if (known) return;
  throw new BundleError(
    'format-unsupported',
    `the release is of type ${canonicalJson(type)} with formats ${canonicalJson(formats ?? null)}; ` +
      `this program reads "${RELEASE_PREDICATE_TYPE}" with formats ${canonicalJson(FORMATS)}`,
    { hint: 'Build the bundle with the version of sealborn that is in the image.' },
  );
}

/** The bytes to sign for a release: canonical JSON, so that the same release is the same bytes. */
export function formatStatement(
  predicate: ReleasePredicate,
  files: { 'manifest.mtree': Uint8Array; 'policy.json': Uint8Array },
): Buffer {
  return Buffer.from(
    canonicalJson({
      _type: STATEMENT_TYPE,
      subject: [
        { name: 'manifest.mtree', digest: { sha256: sha256(files['manifest.mtree']) } },
        { name: 'policy.json', digest: { sha256: sha256(files['policy.json']) } },
      ],
      predicateType: RELEASE_PREDICATE_TYPE,
      predicate,
    }),
  );
}
