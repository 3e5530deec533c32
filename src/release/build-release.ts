import { realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import type { Sha256 } from '../base/digest.ts';
import type { ReleaseId } from '../base/release-id.ts';
import { VERSION } from '../base/version.ts';
import { produceBundle } from '../bundle/produce.ts';
import { type ReleasePredicate, parseStatement } from '../bundle/statement.ts';
import { decodeEnvelope, releaseIdOf } from '../bundle/verify.ts';
import { requireBundlePlace, writeBundleDirectory } from '../host/bundle-directory.ts';
import { hostErrorOf } from '../host/host-error.ts';
import { type Progress, measureTree } from '../host/measure/measure-tree.ts';
import { formatManifest } from '../manifest/format.ts';
import { parseManifest } from '../manifest/parse.ts';
import { formatPolicyDocument } from '../policy/document.ts';
import { compileRepository } from './compile-repository.ts';
import { type TestProgress, requirePassed, runRepositoryTests } from './policy-tests.ts';
import { ReleaseError } from './release-error.ts';
import { type Repository, readRepository, requireEnvironment } from './repository.ts';
import { type Source, readSourceOf } from './source.ts';

export type BuildOptions = {
  /** The folder with sealborn.yaml. */
  repository: string;
  /** Where the image's tree is mounted. */
  root: string;
  environment: string;
  /** Where the bundle goes. */
  out: string;
  /** The release's version; by default the commit's day and short id. */
  version?: string;
  /** The release's sequence; by default the commit's time in Unix seconds. */
  sequence?: number;
  workers?: number;
  now: Date;
  /** SOURCE_DATE_EPOCH, as text, where it is set. */
  sourceDateEpoch: string | undefined;
  onProgress?: (progress: Progress) => void;
  onTested?: TestProgress;
};

export type Built = {
  release: ReleaseId;
  out: string;
  source: Source;
  measured: { entries: number; files: number; bytes: number; seconds: number };
  policies: number;
  entities: number;
  tests: { passed: number; total: number };
  /** Policies that decided none of the tests. */
  untested: string[];
};

/**
 * Builds an unsigned bundle: compiles and validates the policy, runs its tests, measures the image, and writes
 * three files. The same inputs give the same bytes.
 * @throws ReleaseError, PolicyError, BundleError, ManifestError, HostError; then nothing was written
 */
export async function buildRelease(options: BuildOptions): Promise<Built> {
  const builtAt = buildTime(options);
  const repository = await readRepository(options.repository);
  requireEnvironment(repository, options.environment);
  await requirePlaceOutsideImage(options, repository);
  await requireBundlePlace(options.out);
  const source = await readSourceOf(options.repository, repository.settings.source);

  const document = compileRepository(repository);
  const [tests] = runRepositoryTests(repository, document, [options.environment], options.onTested);
  if (tests === undefined) throw new TypeError('one environment has one result');
  requirePassed(tests, repository.settings.gates);
  const policy = formatPolicyDocument(document);

  const tree = await measureTree({
    root: options.root,
    rules: repository.settings.measure,
    ...(options.workers === undefined ? {} : { workers: options.workers }),
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  });
  const manifest = formatManifest(tree.entries);
  // Read back with the reader that machines use: what they would refuse must not leave the build.
  const { size, files, bytes } = parseManifest(manifest);

  const predicate = predicateOf(options, repository, source, builtAt, tests);
  const bundle = produceBundle(predicate, policy, manifest);
  await writeBundleDirectory(options.out, bundle);
  const { payload } = decodeEnvelope(bundle['release.dsse.json']);
  return {
    release: releaseIdOf(parseStatement(payload), payload),
    out: options.out,
    source,
    measured: { entries: size, files, bytes, seconds: tree.seconds },
    policies: document.policies.length,
    entities: document.entities.length,
    tests: { passed: tests.passed, total: tests.total },
    untested: tests.untested,
  };
}

function predicateOf(
  options: BuildOptions,
  repository: Repository,
  source: Source,
  builtAt: Date,
  tests: { passed: number; total: number; digest: Sha256 },
): ReleasePredicate {
  const day = new Date(source.committedAt * 1000).toISOString().slice(0, 10).replaceAll('-', '.');
  return {
    name: repository.settings.name,
    version: options.version ?? `${day}-${source.commit.slice(0, 8)}`,
    sequence: options.sequence ?? source.committedAt,
    environment: options.environment,
    source: { uri: source.uri, commit: source.commit, dirty: source.dirty },
    builtAt: `${builtAt.toISOString().slice(0, 19)}Z`,
    builder: `sealborn ${VERSION}`,
    tests: { passed: tests.passed, total: tests.total, digest: tests.digest },
    measure: repository.settings.measure,
    decisionLog: repository.settings.decisionLog,
    format: { bundle: 1, manifest: 1, policy: 1 },
  };
}

function buildTime({ now, sourceDateEpoch }: BuildOptions): Date {
  if (sourceDateEpoch === undefined) return now;
  const seconds = Number(sourceDateEpoch);
  // The upper bound is the year 9999, the last that RFC 3339 writes.
  if (!/^\d+$/.test(sourceDateEpoch) || seconds > 253_402_300_799) {
    throw new ReleaseError(
      'source-date-invalid',
      `SOURCE_DATE_EPOCH is "${sourceDateEpoch}", not Unix seconds`,
      {
        hint: 'Set it to the time of the commit: SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)',
      },
    );
  }
  return new Date(seconds * 1000);
}

/** A bundle written among measured files would be drift at once; only its declared place in the image is free. */
async function requirePlaceOutsideImage(options: BuildOptions, repository: Repository): Promise<void> {
  const root = await existing(options.root);
  const out = resolve(options.out);
  const { roots, mutable, bundle } = repository.settings.measure;
  const inImage = (path: string): string => resolve(join(root, path));
  const within = (path: string): boolean => out === path || out.startsWith(path === '/' ? path : `${path}/`);
  const measured = roots.some((path) => within(inImage(path)));
  const free = out === inImage(bundle) || mutable.some(({ path }) => within(inImage(path)));
  if (!measured || free) return;
  throw new ReleaseError('output-in-image', `"${options.out}" lies inside the image that is being measured`, {
    hint: `Write the bundle elsewhere, or to its place in the image: "${inImage(bundle)}".`,
  });
}

async function existing(root: string): Promise<string> {
  try {
    return await realpath(root);
  } catch (cause) {
    throw hostErrorOf(`reading the image root "${root}"`, cause);
  }
}
