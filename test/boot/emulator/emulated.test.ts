import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { type TestContext, afterAll, beforeAll, describe, inject, it } from 'vitest';

import { startCollector } from '../../../src/collector/serve.ts';
import { SILENT_LOG } from '../../../src/host/log/log.ts';
import { flipOneByte } from '../flip-one-byte.ts';
import { BUNDLE } from '../pipeline.ts';
import { skipped } from '../requirements.ts';
import { startChip } from './chip.ts';
import { type Disk, makeDisk } from './disk.ts';
import { type EmulatedMachine, emulate } from './emulate.ts';
import { type MachineImage, makeMachineImage } from './machine-image.ts';
import { freePort, untilHere } from './patience.ts';
import { CHANGED, type Checked, makeVouchedDisk } from './vouched.ts';

type Shown = {
  state: string;
  assurance: string;
  tpmProblems: string[];
  verdict: { state: string; drift: { kind: string; path: string }[] };
};

// Two at once: each is one thread of the emulator.
describe
  .skipIf(skipped(inject('noEmulator')))
  .concurrent('a machine with a dm-verity root and a TPM', { timeout: 900_000 }, () => {
    let place: string;
    let image: MachineImage;
    let sealed: Disk;
    let altered: Disk;
    let vouched: string;
    beforeAll(() => {
      place = mkdtempSync(join(tmpdir(), 'sealborn-emulator-'));
      image = makeMachineImage(place, inject('sealed')?.root ?? '');
      sealed = makeDisk(image.root, place, 'sealed');
      // Whoever can change the image can make hashes for it that the kernel is content with.
      flipOneByte(join(image.root, 'usr/bin/env'));
      altered = makeDisk(image.root, place, 'altered');
      vouched = makeVouchedDisk(place);
    });
    afterAll(() => rmSync(place, { recursive: true, force: true }));

    it('completes its boot, decides, and is vouched for by its TPM', async ({ expect, onTestFinished }) => {
      const { machine, healths, shown } = await start(sealed, onTestFinished, vouched);
      await untilShown(machine, shown, (host) => host.state === 'trusted' && host.assurance === 'hardware');
      await untilHere(machine, 'the end of the probe', async () => machine.probe().has('end'));
      const probe = machine.probe();
      expect(Object.fromEntries(probe), probe.get('gate')).toMatchObject({
        'boot-complete': 'active',
        'drift-target': 'inactive',
        permitted: '0',
        denied: '1',
      });
      const status = JSON.parse(probe.get('status') ?? '') as {
        state: string;
        coverage: { mounts: { shown: object[] } };
      };
      expect(status.state).toBe('trusted');
      expect(status.coverage.mounts.shown).toContainEqual(
        expect.objectContaining({ path: '/', backing: 'dm-verity', claimedRootHash: sealed.rootHash }),
      );
      expect(healths).toContain(200);
      expect((await shown())?.tpmProblems).toEqual([]);

      // The kernel vouches for every file of a tree with fs-verity, and nothing of it is read.
      const { result, measured } = JSON.parse(probe.get('sealed') ?? '') as Checked;
      expect([result, measured.bytes, measured.vouched]).toEqual(['good', 0, measured.files]);
      // A byte was changed before fs-verity was enabled: the file has another digest, so that it is read too.
      const changed = JSON.parse(probe.get('changed') ?? '') as Checked;
      expect(changed.drift.map(({ path, kind }) => `${kind} ${path}`)).toEqual([
        `modified ${CHANGED}`,
        `metadata ${CHANGED}`,
      ]);
      expect(changed.drift[1]?.actual).toMatch(/^fsverity\.sha256=[0-9a-f]{64}$/);
    });

    it('does not complete the boot of an altered image whose root hash fits, and its TPM says so too', async ({
      expect,
      onTestFinished,
    }) => {
      const { machine, healths, shown } = await start(altered, onTestFinished);
      const host = await untilShown(
        machine,
        shown,
        (seen) => seen.state === 'drifted' && seen.assurance === 'hardware',
      );
      await untilHere(machine, 'the end of the probe', async () => machine.probe().has('end'));
      expect(Object.fromEntries(machine.probe())).toMatchObject({
        'boot-complete': 'inactive',
        'drift-target': 'active',
        permitted: '1',
        denied: '1',
      });
      expect(host.verdict.drift).toMatchObject([{ kind: 'modified', path: '/usr/bin/env' }]);
      expect(healths).toContain(503);
      expect(healths).not.toContain(200);
    });

    type Started = {
      machine: EmulatedMachine;
      /** Every status that the health check answered with. */
      healths: ReadonlySet<number>;
      shown: () => Promise<Shown | undefined>;
    };

    /** A collector that knows the release and the TPM's maker, and a machine that reports to it. */
    async function start(
      disk: Disk,
      onTestFinished: TestContext['onTestFinished'],
      third?: string,
    ): Promise<Started> {
      const own = mkdtempSync(join(place, 'machine-'));
      const chip = await startChip(own);
      onTestFinished(chip.stop);
      const releases = join(own, 'releases');
      mkdirSync(releases);
      copyFileSync(join(image.root, BUNDLE, 'release.dsse.json'), join(releases, 'payments.dsse.json'));
      const collector = await startCollector({
        listen: { host: '127.0.0.1', port: 0 },
        database: join(own, 'fleet.db'),
        settings: { intervalSeconds: 10 },
        registered: { releases, trust: [image.trust], roots: chip.roots },
        log: SILENT_LOG,
      });
      onTestFinished(() => collector.close());
      const health = await freePort();
      const port = Number(new URL(collector.url).port);
      const machine = emulate({
        image,
        disk,
        place: own,
        chip: chip.socket,
        health,
        collector: port,
        ...(third === undefined ? {} : { third }),
      });
      onTestFinished(machine.stop);
      const healths = new Set<number>();
      void (async () => {
        while (machine.isRunning()) {
          const answer = fetch(`http://127.0.0.1:${health}/healthz`, { signal: AbortSignal.timeout(10_000) });
          healths.add(
            await answer.then(
              ({ status }) => status,
              () => 0,
            ),
          );
          await sleep(200);
        }
      })();
      const shown = async (): Promise<Shown | undefined> => {
        const fleet = (await (await fetch(`${collector.url}/v1/hosts`)).json()) as {
          hosts: { id: string }[];
        };
        const [first] = fleet.hosts;
        if (first === undefined) return undefined;
        return (await (await fetch(`${collector.url}/v1/hosts/${first.id}`)).json()) as Shown;
      };
      return { machine, healths, shown };
    }

    async function untilShown(
      machine: EmulatedMachine,
      shown: () => Promise<Shown | undefined>,
      isSo: (host: Shown) => boolean,
    ): Promise<Shown> {
      return untilHere(machine, 'the report', async () => {
        const host = await shown();
        return host !== undefined && isSo(host) ? host : undefined;
      });
    }
  });
