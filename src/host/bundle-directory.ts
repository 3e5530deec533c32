import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

import { BundleError } from '../bundle/bundle-error.ts';
import {
  BUNDLE_FILE_LIMITS,
  BUNDLE_FILE_NAMES,
  type BundleFileName,
  type BundleFiles,
} from '../bundle/bundle-files.ts';
import { escapeText } from '../base/display.ts';
import { makeDirectory, readFileBounded, syncDirectory, writeFileAtomic } from './files.ts';
import { HostError, errnoOf, hostErrorOf } from './host-error.ts';

/**
 * Reads a bundle: exactly three regular files, each within its bound, read once. What the caller verifies are
 * these bytes, whatever happens to the files afterwards.
 * @throws BundleError `bundle-file-missing`, `bundle-file-unexpected`, `bundle-file-irregular`,
 * `bundle-file-too-large`; HostError where the directory can't be read
 */
export async function readBundleDirectory(directory: string): Promise<BundleFiles> {
  await requireExactFileSet(directory);
  const [release, policy, manifest] = await Promise.all(
    BUNDLE_FILE_NAMES.map((name) => readBundleFile(directory, name)),
  );
  if (release === undefined || policy === undefined || manifest === undefined) {
    throw new TypeError('a bundle has three files');
  }
  return { 'release.dsse.json': release, 'policy.json': policy, 'manifest.mtree': manifest };
}

/**
 * Writes a bundle into a directory that is missing, empty or holds a bundle; never beside anything else. It is
 * staged beside its place and moved there whole; a failure leaves what stood there before, or an incomplete
 * bundle that every reader refuses, never a mixture of two.
 * @throws BundleError `bundle-file-unexpected`; HostError
 */
export async function writeBundleDirectory(directory: string, files: BundleFiles): Promise<void> {
  const place = resolve(directory);
  await requireBundlePlace(place);
  await makeDirectory(dirname(place));
  const staged = join(dirname(place), `.${basename(place)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await mkdir(staged, { mode: 0o755 });
    await chmod(staged, 0o755);
    for (const name of BUNDLE_FILE_NAMES) await writeFileAtomic(join(staged, name), files[name], 0o644);
    await moveIntoPlace(staged, place);
    await syncDirectory(dirname(place));
  } catch (cause) {
    throw hostErrorOf(`writing the bundle "${directory}"`, cause);
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}

async function moveIntoPlace(staged: string, place: string): Promise<void> {
  try {
    await rename(staged, place); // works where `place` is missing or an empty directory
  } catch (cause) {
    if (!['ENOTEMPTY', 'EEXIST'].includes(errnoOf(cause))) throw cause;
    // Over an earlier bundle: without its envelope a bundle is refused, so the envelope goes first and comes last.
    await rm(join(place, 'release.dsse.json'), { force: true });
    for (const name of ['policy.json', 'manifest.mtree', 'release.dsse.json'] as const) {
      await rename(join(staged, name), join(place, name));
    }
    await syncDirectory(place);
  }
}

/**
 * Refuses a directory that holds anything but a bundle's files, so that a build can check its output before
 * the work is done.
 * @throws BundleError `bundle-file-unexpected`; HostError
 */
export async function requireBundlePlace(directory: string): Promise<void> {
  let names: Buffer[];
  try {
    names = await readdir(directory, { encoding: 'buffer' });
  } catch (cause) {
    const error = hostErrorOf(`reading the directory "${directory}"`, cause);
    if (error.code === 'not-found') return;
    throw error;
  }
  const known: readonly string[] = BUNDLE_FILE_NAMES;
  const other = names.map((name) => name.toString('latin1')).find((name) => !known.includes(name));
  if (other !== undefined) {
    throw new BundleError(
      'bundle-file-unexpected',
      `"${directory}" holds "${escapeText(other)}", which is no part of a bundle`,
      { hint: 'Name a directory that does not exist, is empty, or holds an earlier bundle.' },
    );
  }
}

async function requireExactFileSet(directory: string): Promise<void> {
  let names: string[];
  try {
    names = (await readdir(directory, { encoding: 'buffer' })).map((name) => name.toString('latin1'));
  } catch (cause) {
    throw hostErrorOf(`reading the bundle "${directory}"`, cause);
  }
  const known: readonly string[] = BUNDLE_FILE_NAMES;
  const missing = known.filter((name) => !names.includes(name));
  if (missing.length > 0) {
    throw new BundleError('bundle-file-missing', `the bundle "${directory}" lacks ${missing.join(', ')}`, {
      hint: 'A bundle is the directory that "sealborn build" wrote, whole.',
    });
  }
  const extra = names.filter((name) => !known.includes(name));
  if (extra.length > 0) {
    const shown = extra
      .slice(0, 5)
      .map((name) => `"${escapeText(name)}"`)
      .join(', ');
    throw new BundleError(
      'bundle-file-unexpected',
      `the bundle "${directory}" holds ${extra.length} file(s) too many: ${shown}`,
      { hint: 'Nothing but the three files of the bundle may stand in its directory.' },
    );
  }
}

async function readBundleFile(directory: string, name: BundleFileName): Promise<Buffer> {
  try {
    return await readFileBounded(join(directory, name), BUNDLE_FILE_LIMITS[name]);
  } catch (cause) {
    if (!(cause instanceof HostError)) throw cause;
    if (cause.code === 'not-found') {
      throw new BundleError('bundle-file-missing', `the bundle "${directory}" lacks ${name}`, { cause });
    }
    if (cause.code === 'not-a-file') {
      throw new BundleError('bundle-file-irregular', `${name} in "${directory}" is not a regular file`, {
        cause,
      });
    }
    if (cause.code === 'file-too-large') {
      throw new BundleError(
        'bundle-file-too-large',
        `${name} in "${directory}" is larger than ${BUNDLE_FILE_LIMITS[name]} bytes`,
        { cause },
      );
    }
    throw cause;
  }
}
