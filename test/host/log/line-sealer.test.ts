import { availableParallelism } from 'node:os';

import { describe, expect, it, onTestFinished } from 'vitest';

import { type LogHead, sealLines, sealedRoom } from '../../../src/attestation/log-line.ts';
import { sha256 } from '../../../src/base/digest.ts';
import { type LineSealer, createLineSealer } from '../../../src/host/log/line-sealer.ts';
import { until } from '../../agent/until.ts';

const BEFORE: LogHead = { seq: 41, head: sha256('before') };
const LARGE = Buffer.from(`"type":"decision","input":{"é":"${'x'.repeat(700)}"}\n`.repeat(60));

function expected(lines: Buffer): object {
  const out = Buffer.alloc(sealedRoom(lines));
  const { size, after } = sealLines(BEFORE, lines, out);
  return { text: out.toString('utf8', 0, size), after };
}

async function seal(sealer: LineSealer, lines: Buffer): Promise<object> {
  const { bytes, after } = await sealer.seal(BEFORE, lines);
  return { text: bytes.toString(), after };
}

describe('createLineSealer', () => {
  it('seals each line with its number and the SHA-256 of the line before', async () => {
    const sealer = createLineSealer();
    onTestFinished(sealer.close);
    const { bytes, after } = await sealer.seal(undefined, Buffer.from('"type":"start"\n"type":"stop"\n'));
    const [first = '', second = ''] = bytes.toString().split('\n');
    expect(first).toBe('{"seq":1,"previous":null,"type":"start"}');
    expect(second).toBe(`{"seq":2,"previous":"${sha256(first)}","type":"stop"}`);
    expect(after).toEqual({ seq: 2, head: sha256(second) });
  });

  it.skipIf(availableParallelism() === 1)(
    'seals many lines in a thread, just as it does itself',
    async () => {
      const sealer = createLineSealer();
      onTestFinished(sealer.close);
      const alone = sealer.most();
      expect(await seal(sealer, LARGE)).toEqual(expected(LARGE));
      await until('the thread', () => sealer.most() > alone);
      const larger = Buffer.concat([LARGE, LARGE, LARGE]);
      for (const lines of [LARGE, larger, LARGE]) expect(await seal(sealer, lines)).toEqual(expected(lines));
      // More than the two share, and less than is worth it.
      const huge = Buffer.from(`"type":"decision","input":"${'x'.repeat(1024 * 1024)}"\n`);
      for (const lines of [huge, LARGE.subarray(0, LARGE.indexOf('\n') + 1)])
        expect(await seal(sealer, lines)).toEqual(expected(lines));
    },
  );

  it('loses no line where its thread ends in the middle', async () => {
    const sealer = createLineSealer();
    const alone = sealer.most();
    await seal(sealer, LARGE);
    if (availableParallelism() > 1) await until('the thread', () => sealer.most() > alone);
    const sealing = seal(sealer, LARGE);
    await sealer.close();
    expect(await sealing).toEqual(expected(LARGE));
    await until('the end of the thread', () => sealer.most() === alone);
    expect(await seal(sealer, LARGE)).toEqual(expected(LARGE));
  });
});
