import type { LogHead } from '../../attestation/log-line.ts';
import { HostError } from '../../host/host-error.ts';
import { BATCH, LARGE_BATCH, createLineSealer } from '../../host/log/line-sealer.ts';
import { createLineQueue } from './line-queue.ts';
import type { LogStore } from './log-store.ts';

/** Why lines can't be taken now. */
export type LogFault = { since: Date; reason: unknown };

export type LogWriterOptions = {
  /** Opens the files; asked again for as long as it fails. */
  open: () => Promise<LogStore>;
  now: () => Date;
  /** The longest that a line waits to be made safe. */
  syncMs: number;
  /** The lines that the log writes of itself, as `formatFields` makes them. */
  own: {
    start: (store: LogStore) => string[];
    segment: (store: LogStore) => string;
    gap: (lost: number, fault: LogFault) => string;
    stop: () => string;
  };
  /** Told when lines can't be taken any more, and when they can again and how many were not. */
  onFault: (fault: LogFault) => void;
  onRecovered: (lost: number) => void;
};

export type LogWriter = {
  /** Whether a further line will be taken; where not, it is counted as not logged. Never waits, never throws. */
  admits: () => boolean;
  /** Takes the fields of a line that was admitted, to be written within milliseconds. */
  append: (fields: string) => void;
  /** Ends the taking of lines until it works again: one that was admitted could not be made. */
  fail: (reason: unknown) => void;
  /** The last line that is safe from a crash of the machine. */
  synced: () => LogHead | undefined;
  fault: () => LogFault | undefined;
  /** Writes and syncs what was taken. What can't be written then is lost. */
  close: () => Promise<void>;
};

/** Bytes that wait to be written at most: what a disk may lag behind. */
const MAX_WAITING = 16 * 1024 * 1024;
/** Where more than this waits, more is sealed at one go: catching up matters more then than a millisecond of hashing. */
const BEHIND = 1024 * 1024;
/** How long lines wait for others to be written with. */
const GATHER_MS = 5;
/** After this a log that can't be written is tried again. */
const RETRY_MS = 250;

/** Bytes that are written and not safe at most: they stay in memory, for a sync that fails. */
const MAX_UNSAFE = 16 * 1024 * 1024;

const TOO_SLOW = new Error('the disk takes lines more slowly than decisions are made');

/**
 * Writes the chain of lines. A decision only pushes a string; lines are hashed, written and synced in batches
 * beside it. Lines that were taken stay in memory until they are written, however often that fails; while it
 * does, no further line is taken. The first line after such a time says how many were not.
 * @returns once the files are open, or could not be opened
 * @throws HostError `directory-in-use` where another process writes there
 */
export async function startLogWriter(options: LogWriterOptions): Promise<LogWriter> {
  const { now, own, syncMs } = options;
  let store: LogStore | undefined;
  const waiting = createLineQueue();
  /** One batch at a time, which is written before the next. */
  const sealer = createLineSealer();
  /** Of it, what is sealed into the chain and not yet on disk. */
  let unwritten: Buffer | undefined;
  let sealed: LogHead | undefined;
  let synced: LogHead | undefined;
  let syncing: Promise<void> = Promise.resolve();
  let isSyncing = false;
  let lastSync = Number.NEGATIVE_INFINITY;
  let fault: LogFault | undefined;
  let lost = 0;
  let turnTimer: NodeJS.Timeout | undefined;
  let syncTimer: NodeJS.Timeout | undefined;
  let turning: Promise<void> = Promise.resolve();
  let isClosed = false;

  const fail = (reason: unknown): void => {
    if (fault !== undefined) return;
    fault = { since: now(), reason };
    options.onFault(fault);
  };
  const seal = async (lines: Buffer): Promise<void> => {
    const { bytes, after } = await sealer.seal(sealed, lines);
    [unwritten, sealed] = [bytes, after];
  };
  const sealOwn = (lines: readonly string[]): Promise<void> => seal(Buffer.from(`${lines.join('\n')}\n`));
  const writeOut = async (files: LogStore): Promise<void> => {
    while (unwritten !== undefined) {
      const taken = await files.write(unwritten);
      unwritten = taken < unwritten.length ? unwritten.subarray(taken) : undefined;
    }
  };
  const sync = async (files: LogStore): Promise<void> => {
    const upTo = sealed;
    lastSync = performance.now();
    await files.sync();
    synced = upTo;
  };

  // Beside the writing: a slow disk must not keep lines from the page cache.
  const syncIfDue = (files: LogStore): void => {
    if (fault !== undefined || sealed === synced || isSyncing) return;
    if (performance.now() - lastSync < syncMs && files.unsafeBytes() < MAX_UNSAFE) return;
    isSyncing = true;
    syncing = sync(files)
      .catch(fail)
      .finally(() => (isSyncing = false));
  };

  const openFiles = async (): Promise<LogStore> => {
    const files = await options.open();
    const { last } = files.recovered;
    sealed = last && { seq: last.seq, head: last.head };
    synced = sealed;
    try {
      await startFileIfDue(files);
    } catch (thrown) {
      await files.close();
      throw thrown;
    }
    await sealOwn(own.start(files));
    store = files;
    return files;
  };
  const startFileIfDue = async (files: LogStore): Promise<boolean> => {
    const time = now().getTime();
    if (!files.isDue(time)) return false;
    await syncing;
    await files.startFile((sealed?.seq ?? 0) + 1, time);
    return true;
  };
  const writeAll = async (): Promise<LogStore> => {
    const files = store ?? (await openFiles());
    await writeOut(files);
    const next = async (): Promise<void> => {
      if (await startFileIfDue(files)) await sealOwn([own.segment(files)]);
      else if (waiting.bytes() > 0) {
        const most = waiting.bytes() > BEHIND ? LARGE_BATCH : sealer.most();
        await seal(waiting.take(Math.min(most, files.room())));
      }
      await writeOut(files);
      syncIfDue(files); // load may leave this loop nothing to end at
      if (files.unsafeBytes() >= MAX_UNSAFE) await syncing;
    };
    // What ends a fault must be seen to work, also where no line waits.
    if (fault !== undefined && files.isDue(now().getTime())) await next();
    // Less than a batch waits for more to come, but for a fault, which ends when nothing waits, and the end.
    if (waiting.bytes() > 0) await next();
    while (waiting.bytes() >= (fault !== undefined || isClosed ? 1 : BATCH)) await next();
    return files;
  };
  const turn = async (): Promise<void> => {
    const files = await writeAll();
    if (fault !== undefined) {
      // Lines are taken again only after all that were taken are safe.
      if (waiting.bytes() > 0) await writeAll();
      await syncing;
      await sync(files);
      const ended = fault;
      fault = undefined;
      if (lost > 0) waiting.add(own.gap(lost, ended));
      options.onRecovered(lost);
      lost = 0;
    } else syncIfDue(files);
  };
  const schedule = (ms: number): void => {
    if (isClosed) return;
    turnTimer ??= setTimeout(() => {
      turning = turn()
        .catch(fail)
        .then(() => {
          turnTimer = undefined;
          scheduleNext();
        });
    }, ms);
  };
  const scheduleNext = (): void => {
    if (fault !== undefined) schedule(RETRY_MS);
    else if (waiting.bytes() > 0) schedule(GATHER_MS);
    else if (sealed !== synced) {
      const ms = Math.max(GATHER_MS, lastSync + syncMs - performance.now());
      syncTimer ??= setTimeout(() => {
        syncTimer = undefined;
        schedule(0);
      }, ms);
    }
  };

  await turn().catch((thrown: unknown) => {
    // Two that write one chain would make two of it, so the second does not even start.
    if (thrown instanceof HostError && thrown.code === 'directory-in-use') throw thrown;
    fail(thrown);
  });
  scheduleNext();
  return {
    admits: () => {
      if (fault === undefined && waiting.bytes() > MAX_WAITING) fail(TOO_SLOW);
      if (fault === undefined) return true;
      lost += 1;
      return false;
    },
    append: (fields) => {
      waiting.add(fields);
      if (turnTimer === undefined) schedule(GATHER_MS);
    },
    fail: (reason) => {
      lost += 1;
      fail(reason);
      schedule(RETRY_MS);
    },
    synced: () => synced,
    fault: () => fault,
    close: async () => {
      isClosed = true;
      clearTimeout(turnTimer);
      clearTimeout(syncTimer);
      await turning;
      try {
        if (fault !== undefined) await turn();
        waiting.add(own.stop());
        const files = await writeAll();
        await syncing;
        await sync(files);
        await files.close();
      } catch (thrown) {
        fail(thrown);
        await store?.close();
      }
      await sealer.close();
    },
  };
}
