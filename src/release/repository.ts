import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { utf8 } from '../base/bytes.ts';
import { BaseError } from '../base/errors.ts';
import {
  DEFAULT_DECISION_LOG_RULES,
  type DecisionLogRules,
  maskPointer,
} from '../base/decision-log-rules.ts';
import type { MeasureRules } from '../base/measure-rules.ts';
import { bool, list, oneOf, optional, record, text } from '../base/shape.ts';
import { readYaml } from '../base/yaml.ts';
import { environmentName, releaseName } from '../bundle/statement.ts';
import { readFileBounded } from '../host/files.ts';
import { HostError, hostErrorOf } from '../host/host-error.ts';
import { measureSettings } from './measure-settings.ts';
import { ReleaseError } from './release-error.ts';

/** One file of a policy repository: its name from the repository's root, and its bytes. */
export type SourceFile = { file: string; bytes: Buffer };

/** A policy repository as it lies on disk, nothing in it checked but `sealborn.yaml`. */
export type Repository = {
  directory: string;
  settings: RepositorySettings;
  schema: { file: string; text: string };
  policies: { file: string; text: string }[];
  entities: SourceFile[];
  /** `access/*.yaml`, and the `*.jwks.json` beside them. */
  access: SourceFile[];
  tests: SourceFile[];
};

/** `sealborn.yaml`. */
export type RepositorySettings = {
  name: string;
  /** The environments that a bundle can be built for. */
  environments: string[];
  /** Where the repository is published; `git remote` is asked where this is absent. */
  source: string | undefined;
  measure: MeasureRules;
  /** Entity types that a request may describe (its resource's properties, say). */
  openTypes: string[];
  gates: Gates;
  decisionLog: DecisionLogRules;
};

/** The folders of a policy repository. */
export const REPOSITORY_FOLDERS = ['policies', 'entities', 'access', 'tests'] as const;

/** What stops a build. */
export type Gates = {
  /** Refuse to build where a policy decides no test. */
  everyPolicyTested: boolean;
};

/** Bytes of one policy or schema file at most. */
const MAX_SOURCE_BYTES = 8 * 1024 * 1024;
/** Files of one kind at most. */
const MAX_SOURCE_FILES = 10_000;

const settingsShape = record({
  name: releaseName,
  environments: list(environmentName, { min: 1, max: 64 }),
  source: optional(text({ max: 2048 })),
  measure: measureSettings,
  policy: optional(record({ openTypes: optional(list(text({ max: 256 }), { max: 256 })) })),
  gates: optional(record({ everyPolicyTested: optional(bool) })),
  decisionLog: optional(
    record({ whenFull: optional(oneOf('block', 'drop')), mask: optional(list(maskPointer, { max: 256 })) }),
  ),
});

/**
 * Reads a policy repository: `sealborn.yaml`, `schema.cedarschema`, `policies/*.cedar`, `entities/*.yaml`,
 * `access/*.yaml` with `access/*.jwks.json`, and `tests/*.yaml`, each folder flat and in the order of names, so that the same repository gives the same build.
 * @throws ReleaseError `repository-malformed` (with file and line), `repository-incomplete`; HostError
 */
export async function readRepository(directory: string): Promise<Repository> {
  const settings = readSettings(await readSource(directory, 'sealborn.yaml'));
  const schema = await readSource(directory, 'schema.cedarschema');
  const [policies, entities, access, tests] = await Promise.all([
    readFolder(directory, 'policies', '.cedar'),
    readFolder(directory, 'entities', '.yaml'),
    readFolder(directory, 'access', '.yaml', '.jwks.json'),
    readFolder(directory, 'tests', '.yaml'),
  ]);
  if (policies.length === 0) {
    throw new ReleaseError('repository-incomplete', `"${join(directory, 'policies')}" holds no .cedar file`, {
      hint: 'A release without a policy permits nothing; write at least one permit.',
    });
  }
  return {
    directory,
    settings,
    schema: textOf(schema),
    policies: policies.map((source) => textOf(source)),
    entities,
    access,
    tests,
  };
}

/** @throws ReleaseError `environment-unknown` */
export function requireEnvironment({ settings }: Repository, environment: string): void {
  const { environments } = settings;
  if (environments.includes(environment)) return;
  throw new ReleaseError(
    'environment-unknown',
    `"${environment}" is no environment of this repository; sealborn.yaml lists ${environments.join(', ')}`,
  );
}

function readSettings(source: SourceFile): RepositorySettings {
  try {
    const { value } = readYaml(source.bytes, source.file, settingsShape);
    return {
      name: value.name,
      environments: value.environments,
      source: value.source,
      measure: value.measure,
      openTypes: value.policy?.openTypes ?? [],
      gates: { everyPolicyTested: value.gates?.everyPolicyTested ?? false },
      decisionLog: { ...DEFAULT_DECISION_LOG_RULES, ...value.decisionLog },
    };
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new ReleaseError('repository-malformed', cause.message, {
      cause,
      hint: 'docs/policy-repository.md shows every field of sealborn.yaml.',
    });
  }
}

async function readSource(directory: string, file: string): Promise<SourceFile> {
  try {
    return { file, bytes: await readFileBounded(join(directory, file), MAX_SOURCE_BYTES, { follow: true }) };
  } catch (cause) {
    if (!(cause instanceof HostError) || cause.code !== 'not-found') throw cause;
    throw new ReleaseError(
      'repository-incomplete',
      `"${directory}" is no policy repository: it has no ${file}`,
      {
        cause,
        hint: 'Name the folder that holds sealborn.yaml; examples/payments is one to copy.',
      },
    );
  }
}

async function readFolder(directory: string, folder: string, ...endings: string[]): Promise<SourceFile[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(join(directory, folder), { withFileTypes: true });
  } catch (cause) {
    const error = hostErrorOf(`reading "${join(directory, folder)}"`, cause);
    if (error.code === 'not-found') return [];
    throw error;
  }
  const seen = entries.filter(({ name }) => !name.startsWith('.'));
  const isWanted = ({ name }: Dirent): boolean => endings.some((ending) => name.endsWith(ending));
  requireNothingLeftOut(
    folder,
    endings,
    seen.filter((entry) => !isWanted(entry)),
  );
  const wanted = seen
    .filter(isWanted)
    .map(({ name }) => name)
    .sort();
  if (wanted.length > MAX_SOURCE_FILES) {
    throw new ReleaseError(
      'repository-malformed',
      `"${join(directory, folder)}" holds ${wanted.length} files; at most ${MAX_SOURCE_FILES} are read`,
    );
  }
  const files: SourceFile[] = [];
  for (const name of wanted) files.push(await readSource(directory, `${folder}/${name}`));
  return files;
}

/** Endings of what somebody meant to be read; a README or an editor's copy may lie there. */
const MEANT = /\.(?:cedar|cedarschema|ya?ml|json)$/i;

/** A forbid or a test that is not read would be missed by nobody. @throws ReleaseError `repository-malformed` */
function requireNothingLeftOut(folder: string, endings: readonly string[], others: readonly Dirent[]): void {
  const left = others.find((entry) => !entry.isFile() || MEANT.test(entry.name));
  if (left === undefined) return;
  const files = `files that end in ${endings.join(' or ')}`;
  throw new ReleaseError(
    'repository-malformed',
    `${folder}/${left.name} is not read: ${folder}/ holds ${files}, and no folders`,
    { hint: 'Rename it or move it, so that nothing is left out of the release unseen.' },
  );
}

function textOf({ file, bytes }: SourceFile): { file: string; text: string } {
  try {
    // Some editors begin a file with a byte order mark; Cedar's parser of schemas takes none.
    return { file, text: utf8(bytes, file).replace(/^\ufeff/, '') };
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new ReleaseError('repository-malformed', cause.message, { cause, hint: 'Save the file as UTF-8.' });
  }
}
