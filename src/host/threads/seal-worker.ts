import { parentPort, workerData } from 'node:worker_threads';

import { sealLines, sealedRoom } from '../../attestation/log-line.ts';
import type { SealedLines, SealJob } from '../log/line-sealer.ts';

const input = Buffer.from(workerData as SharedArrayBuffer);
let memory = new SharedArrayBuffer(0);

parentPort?.on('message', ({ bytes, before }: SealJob) => {
  const lines = input.subarray(0, bytes);
  const room = sealedRoom(lines);
  if (room > memory.byteLength) memory = new SharedArrayBuffer(2 * room);
  const { size, after } = sealLines(before, lines, Buffer.from(memory));
  parentPort?.postMessage({ memory, size, after } satisfies SealedLines);
});
