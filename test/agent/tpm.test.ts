import { mkdtemp, readFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { startMeasurer } from '../../src/agent/measure/measurer.ts';
import { startServer } from '../../src/agent/server.ts';
import { createTpmRecorder, readTpmLog, tpmLogPath } from '../../src/agent/measure/tpm-log.ts';
import { replayLog } from '../../src/attestation/tpm/event-log.ts';
import { type Collector, startCollector } from '../../src/collector/serve.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import { openTpm } from '../../src/host/tpm.ts';
import { TRUSTED } from '../attestation/hosts.ts';
import { NO_SWTPM, type SoftwareTpm, certifyBy, startSwtpm } from '../support/swtpm.ts';
import { type SealedMachine, sealMachine } from './sealed-machine.ts';
import { temporaryDirectory } from './temporary-directory.ts';
import { until } from './until.ts';

const PCR = 15;
type Shown = { assurance: string; tpmProblems: string[]; state: string; verdict: { state: string } };

describe.skipIf(NO_SWTPM !== undefined)('an agent with a TPM', () => {
  let ca: string;
  let chip: SoftwareTpm;
  beforeAll(async () => {
    ca = await mkdtemp(join(tmpdir(), 'sealborn-ca-'));
    chip = await startSwtpm(certifyBy(ca));
  });
  afterAll(async () => {
    await chip.stop();
    await rm(ca, { recursive: true, force: true });
  });

  async function collect(machine: SealedMachine, registered = true): Promise<Collector> {
    const releases = join(machine.directory, 'releases');
    await mkdir(releases);
    if (registered) {
      const release = await readFile(join(machine.bundle, 'release.dsse.json'));
      await writeFile(join(releases, 'payments.dsse.json'), release);
    }
    const roots = join(machine.directory, 'roots.pem');
    const names = ['swtpm-localca-rootca-cert.pem', 'issuercert.pem'];
    const pem = await Promise.all(names.map((name) => readFile(join(ca, name), 'latin1')));
    await writeFile(roots, pem.join('\n'));
    const collector = await startCollector({
      listen: { host: '127.0.0.1', port: 0 },
      database: join(machine.directory, 'fleet.db'),
      registered: { releases, trust: [machine.trust], roots },
      log: SILENT_LOG,
    });
    onTestFinished(() => collector.close());
    return collector;
  }

  async function run(machine: SealedMachine, collector: Collector): Promise<() => Promise<void>> {
    const settings = machine.settings(
      `tpm: {tcti: "${chip.tcti}"}\ncollector: {url: "${collector.url}", splaySeconds: 0, intervalSeconds: 3600}`,
    );
    const deps = { log: SILENT_LOG, notify: () => undefined, now: () => new Date(), environment: {} };
    const measurer = await startMeasurer(settings, deps);
    const server = await startServer(settings, deps);
    const stop = async (): Promise<void> => {
      await server.close();
      await measurer.close();
    };
    onTestFinished(stop);
    return stop;
  }

  async function shown(collector: Collector): Promise<Shown | undefined> {
    const fleet = (await (await fetch(`${collector.url}/v1/hosts`)).json()) as { hosts: Shown[] };
    return fleet.hosts[0];
  }

  it('is enrolled by itself and shown as vouched for by hardware; drift is told by the TPM too', async () => {
    chip.reset();
    const machine = await sealMachine();
    const collector = await collect(machine);
    await run(machine, collector);
    const trusted = await until(
      'assurance hardware',
      async () => {
        const host = await shown(collector);
        return host?.assurance === 'hardware' && host.state === 'trusted' ? host : undefined;
      },
      25_000,
    );
    expect(trusted.tpmProblems).toEqual([]);
    await machine.tamper();
    const drifted = await until(
      'drift told by hardware',
      async () => {
        const host = await shown(collector);
        return host?.state === 'drifted' && host.assurance === 'hardware' ? host : undefined;
      },
      25_000,
    );
    expect(drifted.verdict.state).toBe('drifted');
    const page = await (
      await fetch(`${collector.url}/hosts/${(drifted as unknown as { id: string }).id}`)
    ).text();
    expect(page).toContain('its TPM vouches for this report');
  });

  it('is shown as software where its release is not registered', async () => {
    chip.reset();
    const machine = await sealMachine();
    const collector = await collect(machine, false);
    await run(machine, collector);
    const host = await until(
      'the evidence judged',
      async () => {
        const seen = await shown(collector);
        return seen?.tpmProblems.length === 1 && seen.state === 'trusted' ? seen : undefined;
      },
      50_000,
    );
    expect(host).toMatchObject({ assurance: 'software', tpmProblems: ['release-unregistered'] });
  });

  it('createTpmRecorder goes on where the process was killed between writing an entry and extending it', async () => {
    chip.reset();
    const runDirectory = await temporaryDirectory();
    const tpm = openTpm({ tcti: chip.tcti, directory: runDirectory });
    const make = { pcr: PCR, runDirectory, bootId: 'boot-1', log: SILENT_LOG };
    const dying = createTpmRecorder({
      ...make,
      tpm: {
        read: tpm.read,
        extend: async (pcr, digest) => {
          const written = (await readTpmLog(runDirectory, 'boot-1', PCR))?.events.length;
          // Dies with the second entry written and not extended.
          if (written === 2) throw new Error('killed');
          await tpm.extend(pcr, digest);
        },
      },
    });
    dying.record(TRUSTED, '2026-11-23T12:00:00.000Z');
    await dying.settled();
    const before = await readTpmLog(runDirectory, 'boot-1', PCR);
    expect(before?.events).toHaveLength(2);
    expect(await tpm.read(PCR)).not.toBe(replayLog(before?.events ?? []));
    const next = createTpmRecorder({ ...make, tpm });
    await next.settled();
    expect(await tpm.read(PCR)).toBe(replayLog(before?.events ?? []));
    next.record({ ...TRUSTED, state: 'drifted', driftTotal: 1 }, '2026-11-23T12:00:01.000Z');
    await next.settled();
    const after = (await readTpmLog(runDirectory, 'boot-1', PCR))?.events ?? [];
    expect(after).toHaveLength(3);
    expect(await tpm.read(PCR)).toBe(replayLog(after));
    expect(await readTpmLog(runDirectory, 'boot-2', PCR)).toBeUndefined();
    expect(tpmLogPath(runDirectory)).toContain('tpm-log.json');
  });

  it('createTpmRecorder says so where something else extended the PCR', async () => {
    chip.reset();
    const runDirectory = await temporaryDirectory();
    const tpm = openTpm({ tcti: chip.tcti, directory: runDirectory });
    await tpm.extend(PCR, TRUSTED.release?.digest ?? ('' as never));
    const said: unknown[] = [];
    const log = { ...SILENT_LOG, error: (fields: unknown) => void said.push(fields) } as typeof SILENT_LOG;
    const recorder = createTpmRecorder({ tpm, pcr: PCR, runDirectory, bootId: 'boot-1', log });
    await recorder.settled();
    expect(said).toMatchObject([{ code: 'tpm-log-mismatch', pcr: PCR }]);
  });
});
