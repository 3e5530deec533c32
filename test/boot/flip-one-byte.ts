import { closeSync, openSync, readSync, statSync, utimesSync, writeSync } from 'node:fs';

/** Changes one bit in the middle of a file, as an attacker would: size and times stay. */
export function flipOneByte(path: string): void {
  const { atime, mtime, size } = statSync(path);
  const middle = Math.floor(size / 2);
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, middle);
  byte[0] = (byte[0] ?? 0) ^ 1;
  writeSync(file, byte, 0, 1, middle);
  closeSync(file);
  utimesSync(path, atime, mtime);
}
