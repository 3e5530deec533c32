import type { DatabaseSync } from 'node:sqlite';

import { CollectorError } from './collector-error.ts';

/** "Seal" in ASCII: marks a database file as the collector's (PRAGMA application_id). */
const APPLICATION_ID = 0x5365_616c;
const SCHEMA_VERSION = 1;

const SCHEMA = `
CREATE TABLE hosts (
  id         TEXT PRIMARY KEY,
  first_seen INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  seq        INTEGER NOT NULL,
  digest     TEXT NOT NULL,
  nonce      TEXT NOT NULL,
  nonce_at   INTEGER NOT NULL,
  fresh      INTEGER NOT NULL,
  kept_bytes INTEGER NOT NULL,
  summary    TEXT NOT NULL
) STRICT;
CREATE INDEX hosts_last_seen ON hosts (last_seen);

CREATE TABLE reports (
  host        TEXT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
  seq         INTEGER NOT NULL,
  digest      TEXT NOT NULL UNIQUE,
  received_at INTEGER NOT NULL,
  created_at  TEXT NOT NULL,
  fresh       INTEGER NOT NULL,
  missed      INTEGER NOT NULL,
  turn        INTEGER NOT NULL,
  state       TEXT NOT NULL,
  drift_total INTEGER NOT NULL,
  release     TEXT,
  boot_id     TEXT NOT NULL,
  bytes       INTEGER NOT NULL,
  body        BLOB NOT NULL,
  UNIQUE (host, seq)
) STRICT;
CREATE INDEX reports_by_turn ON reports (host, turn, seq);

CREATE TABLE flags (
  host     TEXT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
  kind     TEXT NOT NULL CHECK (kind IN ('fork', 'gap', 'key', 'log')),
  ref      TEXT NOT NULL,
  seq      INTEGER,
  first_at INTEGER NOT NULL,
  last_at  INTEGER NOT NULL,
  count    INTEGER NOT NULL,
  detail   TEXT NOT NULL,
  UNIQUE (host, kind, ref)
) STRICT;
CREATE TABLE tpm_keys (
  host        TEXT PRIMARY KEY REFERENCES hosts (id) ON DELETE CASCADE,
  name        TEXT NOT NULL,
  problem     TEXT NOT NULL,
  enrolled_at INTEGER NOT NULL
) STRICT;

CREATE INDEX flags_by_time ON flags (host, kind, last_at);
`;

/**
 * Makes the tables in an empty database, or checks that the file is a database that this program wrote.
 * @throws CollectorError `database-foreign`, `database-newer`
 */
export function prepareSchema(db: DatabaseSync, path: string): void {
  const version = pragma(db, 'user_version');
  const application = pragma(db, 'application_id');
  if (version === 0 && application === 0 && isEmpty(db)) {
    db.exec(
      `BEGIN IMMEDIATE; ${SCHEMA} PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT;`,
    );
    return;
  }
  if (application !== APPLICATION_ID) {
    throw new CollectorError('database-foreign', `"${path}" is a database of another program`, {
      hint: 'Name another file; the collector makes it.',
    });
  }
  if (version > SCHEMA_VERSION) {
    throw new CollectorError(
      'database-newer',
      `"${path}" was written by a later version of sealborn (schema ${version}; this one knows ${SCHEMA_VERSION})`,
      { hint: 'Run that version, or name another file.' },
    );
  }
}

function pragma(db: DatabaseSync, name: 'user_version' | 'application_id'): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0);
}

function isEmpty(db: DatabaseSync): boolean {
  return db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined;
}
