import { join } from 'node:path';

import {
  MAX_TPM_EVENTS,
  type TpmEvent,
  eventDigest,
  eventLogShape,
  replayLog,
  verdictEvent,
} from '../../attestation/tpm/event-log.ts';
import type { Verdict } from '../../attestation/verdict.ts';
import { messageOf } from '../../base/errors.ts';
import { parseJson } from '../../base/json.ts';
import { oneOf, readShape, record, text, whole } from '../../base/shape.ts';
import { readFileBounded, writeFileAtomic } from '../../host/files.ts';
import { HostError } from '../../host/host-error.ts';
import type { Log } from '../../host/log/log.ts';
import type { Tpm } from '../../host/tpm.ts';

/** What was extended into the PCR in this boot, as the serving half reads it for a report. */
export type TpmLog = { bootId: string; pcr: number; events: TpmEvent[] };

/** Extends the verdicts of the measuring half into the TPM, and keeps the log of it. */
export type TpmRecorder = {
  /** Takes a verdict; it never waits, and never fails: what goes wrong is logged. */
  record: (verdict: Verdict, at: string) => void;
  /** Resolves when all that was taken is extended, or given up. */
  settled: () => Promise<void>;
};

export type TpmRecorderOptions = {
  tpm: Pick<Tpm, 'extend' | 'read'>;
  pcr: number;
  runDirectory: string;
  bootId: string;
  log: Log;
};

/** Bytes of the file at most: `MAX_TPM_EVENTS` entries take some 60 KB. */
const MAX_LOG_BYTES = 256 * 1024;

const logShape = record({
  format: oneOf('sealborn-tpm-log-1'),
  bootId: text({ max: 64 }),
  pcr: whole(0, 23),
  events: eventLogShape,
});

/** The file of the log, beside the sockets: like the PCR itself it is gone with a reboot. */
export function tpmLogPath(runDirectory: string): string {
  return join(runDirectory, 'tpm-log.json');
}

/**
 * Reads the log; undefined where there is none of this boot and PCR.
 * @throws BaseError, HostError where what stands there is no log
 */
export async function readTpmLog(
  runDirectory: string,
  bootId: string,
  pcr: number,
): Promise<TpmLog | undefined> {
  const path = tpmLogPath(runDirectory);
  let bytes: Buffer;
  try {
    bytes = await readFileBounded(path, MAX_LOG_BYTES);
  } catch (cause) {
    if (cause instanceof HostError && cause.code === 'not-found') return undefined;
    throw cause;
  }
  const { format: _, ...found } = readShape(
    logShape,
    parseJson(bytes, path, { maxBytes: MAX_LOG_BYTES }),
    path,
  );
  return found.bootId === bootId && found.pcr === pcr ? found : undefined;
}

/**
 * Makes the recorder. It goes on with the log of this boot where the process was killed: an entry is written
 * before it is extended, so at most the last one is not in the TPM yet, and is extended then. Where the TPM holds
 * anything else the log says so, and no report will count as vouched for: that is for the collector to see.
 */
export function createTpmRecorder(options: TpmRecorderOptions): TpmRecorder {
  const { log, tpm, pcr } = options;
  let events: TpmEvent[] = [];
  let release: string | undefined;
  let isOver = false;
  const inTurn = async (work: () => Promise<void>): Promise<void> => {
    if (isOver) return;
    try {
      await work();
    } catch (thrown) {
      isOver = true;
      log.error({ code: 'tpm-failed' }, `nothing more is recorded in the TPM: ${messageOf(thrown)}`);
    }
  };
  let turn = inTurn(async () => {
    events = await takeUp(options);
    release = events.findLast((event) => event.kind === 'release')?.release;
  });
  const add = async (event: TpmEvent): Promise<void> => {
    if (events.length >= MAX_TPM_EVENTS) {
      throw new HostError('tpm-failed', `its log holds ${MAX_TPM_EVENTS} entries, and takes no more`);
    }
    events.push(event);
    await write(options, events);
    await tpm.extend(pcr, eventDigest(event));
  };
  return {
    record: (verdict, at) => {
      turn = turn.then(() =>
        inTurn(async () => {
          const digest = verdict.release?.digest;
          if (digest !== undefined && digest !== release) {
            await add({ kind: 'release', at, release: digest });
            release = digest;
          }
          await add(verdictEvent(verdict, at));
        }),
      );
    },
    settled: () => turn,
  };
}

async function takeUp({ tpm, pcr, runDirectory, bootId, log }: TpmRecorderOptions): Promise<TpmEvent[]> {
  const events = (await readTpmLog(runDirectory, bootId, pcr))?.events ?? [];
  const value = await tpm.read(pcr);
  const last = events.at(-1);
  if (value === replayLog(events)) return events;
  if (last !== undefined && value === replayLog(events.slice(0, -1))) {
    await tpm.extend(pcr, eventDigest(last));
    return events;
  }
  log.error(
    { code: 'tpm-log-mismatch', pcr },
    `PCR ${pcr} does not hold what sealborn extended: something else extends it, or the TPM was reset`,
  );
  return events;
}

async function write(
  { runDirectory, bootId, pcr }: TpmRecorderOptions,
  events: readonly TpmEvent[],
): Promise<void> {
  const log = { format: 'sealborn-tpm-log-1', bootId, pcr, events };
  await writeFileAtomic(tpmLogPath(runDirectory), `${JSON.stringify(log)}\n`, 0o644);
}
