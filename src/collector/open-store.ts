import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { CodedError, messageOf } from '../base/errors.ts';
import { syncDirectory } from '../host/files.ts';
import { errnoOf } from '../host/host-error.ts';
import { CollectorError } from './collector-error.ts';
import { prepareSchema } from './schema.ts';
import { type Store, createStore } from './store.ts';

/**
 * Opens the database, or makes it (mode 0600; the directory must exist). WAL with `synchronous = FULL`: what
 * was acknowledged survives a crash of the machine. `locking_mode = EXCLUSIVE`: a second collector on the
 * same file is refused, and the lock goes with its process.
 * @throws CollectorError `database-unavailable`, `database-in-use`, `database-foreign`, `database-newer`
 */
export async function openStore(path: string): Promise<Store> {
  await makeFile(path);
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { timeout: 0, enableForeignKeyConstraints: true });
    db.exec('PRAGMA locking_mode = EXCLUSIVE');
    db.exec('PRAGMA journal_mode = WAL');
    db.exec('PRAGMA synchronous = FULL');
    db.exec('BEGIN EXCLUSIVE; COMMIT');
    prepareSchema(db, path);
    return createStore(db);
  } catch (cause) {
    db?.close();
    throw openError(path, cause);
  }
}

async function makeFile(path: string): Promise<void> {
  try {
    // Only where it is new: closing a second descriptor of an open database would drop SQLite's locks on it.
    await (await open(path, 'wx', 0o600)).close();
    await syncDirectory(dirname(path));
  } catch (cause) {
    if (errnoOf(cause) !== 'EEXIST') throw openError(path, cause);
  }
}

function openError(path: string, cause: unknown): CodedError {
  if (cause instanceof CodedError) return cause;
  const message = messageOf(cause);
  if (/locked|busy/i.test(message)) {
    return new CollectorError('database-in-use', `"${path}" is in use by another process`, {
      cause,
      hint: 'Is another collector running on it? Each needs a database of its own.',
    });
  }
  if (/not a database|malformed/i.test(message)) {
    return new CollectorError('database-foreign', `"${path}" is not a SQLite database, or it is damaged`, {
      cause,
      hint: 'Name another file; the collector makes it.',
    });
  }
  return new CollectorError('database-unavailable', `opening the database "${path}": ${message}`, {
    cause,
    hint: 'The directory must exist, and this user must be able to write in it.',
  });
}
