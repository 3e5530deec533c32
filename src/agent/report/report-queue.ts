import { join } from 'node:path';

import type { ChainLink } from '../../attestation/chain.ts';
import { MAX_REPORT_BYTES } from '../../attestation/report.ts';
import { type Sha256, parseSha256, sha256 } from '../../base/digest.ts';
import { BaseError } from '../../base/errors.ts';
import { parseJson } from '../../base/json.ts';
import { digest, oneOf, readShape, record, whole } from '../../base/shape.ts';
import { readFileBounded, writeFileAtomic } from '../../host/files.ts';
import { HostError } from '../../host/host-error.ts';
import { type Spool, openSpool } from '../../host/spool.ts';
import { AgentError } from '../agent-error.ts';

/** Why a report was made. Reports of a mere interval are the first to go when the spool is full. */
export type ReportKind = 'start' | 'change' | 'interval';

/** A report on disk that waits to be sent. */
export type QueuedReport = ChainLink & { kind: ReportKind; name: string; size: number };

export type QueueLimits = { maxReports: number; maxBytes: number };

/** A day of changes and intervals of a usual host; 64 MiB fit the smallest of disks. */
export const QUEUE_LIMITS: QueueLimits = { maxReports: 1500, maxBytes: 64 * 1024 * 1024 };
/** Refused reports that are kept for a person to look at. */
const MAX_REFUSED = 50;

/** This host's reports in order, and its place in their chain, kept over restarts and crashes. */
export type ReportQueue = {
  /** The last report made; undefined before the first. */
  last: () => ChainLink | undefined;
  /** Reports dropped, ever. */
  dropped: () => number;
  waiting: () => number;
  /** Keeps a report, which must follow `last()`; it is on disk when this resolves. */
  add: (kind: ReportKind, seq: number, body: Buffer) => Promise<void>;
  /** The oldest report and its bytes; it won't be dropped until the next call. */
  next: () => Promise<{ report: QueuedReport; body: Buffer } | undefined>;
  delivered: (report: QueuedReport) => Promise<void>;
  /** Sets a report aside in `refused/`. */
  refused: (report: QueuedReport) => Promise<void>;
};

const NAME = /^([0-9]{12})-(start|change|interval)-([0-9a-f]{64})\.json$/;

const chainShape = record({
  format: oneOf('sealborn-chain-1'),
  host: digest,
  seq: whole(1),
  digest,
  dropped: whole(),
});
type Chain = ReturnType<typeof chainShape>;

/**
 * Opens the queue in the state directory: `spool/`, `refused/` and `chain.json`.
 * @throws AgentError `chain-invalid` where chain.json is damaged or another key's; HostError
 */
export async function openReportQueue(
  stateDirectory: string,
  host: Sha256,
  limits: QueueLimits = QUEUE_LIMITS,
): Promise<ReportQueue> {
  const { spool, files } = await openSpool(join(stateDirectory, 'spool'), NAME);
  const aside = await openSpool(join(stateDirectory, 'refused'), NAME);
  const chainPath = join(stateDirectory, 'chain.json');
  const chain = await readChain(chainPath, host);
  const waiting = files.map(({ name, size }) => queued(name, size));
  const refusedNames = aside.files.map(({ name }) => name);
  // A crash between the report and chain.json leaves a report that is further on.
  let last = newest(chain, waiting.at(-1));
  let dropped = chain?.dropped ?? 0;
  let held: string | undefined;
  // Reports on disk whose number chain.json does not know yet: one sent and removed now could, after a crash,
  // be followed by another of the same number.
  const unsealed: QueuedReport[] = [];

  const unreadable = new WeakMap<QueuedReport, number>();

  const forget = (report: QueuedReport): void => {
    const index = waiting.findIndex(({ name }) => name === report.name);
    if (index >= 0) waiting.splice(index, 1);
  };
  const setAside = async (report: QueuedReport): Promise<void> => {
    await spool.move(report.name, aside.spool);
    forget(report);
    refusedNames.push(report.name);
    while (refusedNames.length > MAX_REFUSED) await removeOldest(aside.spool, refusedNames);
  };
  const makeRoom = async (size: number): Promise<void> => {
    let bytes = [...waiting, ...unsealed].reduce((sum, report) => sum + report.size, size);
    while (waiting.length + unsealed.length >= limits.maxReports || bytes > limits.maxBytes) {
      const victim =
        waiting.find(({ kind, name }) => kind === 'interval' && name !== held) ??
        waiting.find(({ name }) => name !== held);
      if (victim === undefined) return;
      await spool.remove(victim.name);
      forget(victim);
      bytes -= victim.size;
      dropped += 1;
    }
  };

  return {
    last: () => last,
    dropped: () => dropped,
    waiting: () => waiting.length + unsealed.length,
    add: async (kind, seq, body) => {
      const link = { seq, digest: sha256(body) };
      await makeRoom(body.length);
      const name = `${String(seq).padStart(12, '0')}-${kind}-${link.digest}.json`;
      await spool.add(name, body);
      last = link;
      unsealed.push({ ...link, kind, name, size: body.length });
      const next: Chain = { format: 'sealborn-chain-1', host, ...link, dropped };
      await writeFileAtomic(chainPath, `${JSON.stringify(next)}\n`, 0o600);
      waiting.push(...unsealed.splice(0));
    },
    next: async () => {
      for (;;) {
        const report = waiting[0];
        held = report?.name;
        if (report === undefined) return undefined;
        const body = await readReport(spool, report).catch(async (thrown: unknown) => {
          unreadable.set(report, (unreadable.get(report) ?? 0) + 1);
          // One file that can't be read must not hold up all that come after it.
          if ((unreadable.get(report) ?? 0) < READ_TRIES) throw thrown;
          await setAside(report).catch(() => undefined);
          return undefined;
        });
        if (body !== undefined) return { report, body };
        forget(report);
      }
    },
    delivered: async (report) => {
      await spool.remove(report.name);
      forget(report);
    },
    refused: setAside,
  };
}

/** How often a report is tried to be read before it is set aside. */
const READ_TRIES = 3;

/** The report's bytes; undefined where the file is gone or damaged, so that it can never be delivered. */
async function readReport(spool: Spool, report: QueuedReport): Promise<Buffer | undefined> {
  try {
    const body = await spool.read(report.name, MAX_REPORT_BYTES);
    if (sha256(body) === report.digest) return body;
    await spool.remove(report.name);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof HostError && thrown.code === 'not-found') return undefined;
    throw thrown;
  }
}

function queued(name: string, size: number): QueuedReport {
  const [, seq, kind, hex] = NAME.exec(name) ?? [];
  return { seq: Number(seq), kind: kind as ReportKind, digest: parseSha256(hex), name, size };
}

function newest(chain: ChainLink | undefined, spooled: ChainLink | undefined): ChainLink | undefined {
  const last = chain !== undefined && (spooled === undefined || spooled.seq <= chain.seq) ? chain : spooled;
  return last && { seq: last.seq, digest: last.digest };
}

async function removeOldest(spool: Spool, names: string[]): Promise<void> {
  const oldest = names.shift();
  if (oldest !== undefined) await spool.remove(oldest);
}

async function readChain(path: string, host: Sha256): Promise<Chain | undefined> {
  let problem: string;
  try {
    const bytes = await readFileBounded(path, 4096);
    const chain = readShape(chainShape, parseJson(bytes, path, { maxBytes: 4096 }), path);
    if (chain.host === host) return chain;
    problem = `${path} belongs to the host ${chain.host}, but host.key is of ${host}`;
  } catch (thrown) {
    if (thrown instanceof HostError && thrown.code === 'not-found') return undefined;
    if (!(thrown instanceof BaseError)) throw thrown;
    problem = thrown.message;
  }
  throw new AgentError('chain-invalid', problem, {
    hint: 'Remove host.key, chain.json and spool/ from the state directory: the host then reports under a new identity.',
  });
}
