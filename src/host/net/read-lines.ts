import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

import { HostError, hostErrorOf } from '../host-error.ts';

const CHUNK_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/**
 * Reads a regular file line by line in bounded memory, however large it is. The bytes of a line, without its
 * newline, are good only until `onLine` returns; it gives true to read no further.
 * @returns the bytes read and those after the last newline, which are no line yet
 * @throws HostError `line-too-long`, `not-a-file`
 */
export async function readLines(
  path: string,
  maxLineBytes: number,
  onLine: (line: Buffer, number: number) => boolean,
  onBytes: (bytes: number) => void = () => undefined,
): Promise<{ bytes: number; rest: Buffer }> {
  const doing = `reading "${path}"`;
  // Room for the unfinished line of one chunk before the next.
  const buffer = Buffer.allocUnsafeSlow(maxLineBytes + CHUNK_BYTES);
  let file: FileHandle | undefined;
  let held = 0;
  let bytes = 0;
  let number = 0;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!(await file.stat()).isFile()) throw new HostError('not-a-file', `${doing}: not a regular file`);
    for (;;) {
      const { bytesRead } = await file.read(buffer, held, CHUNK_BYTES, null);
      if (bytesRead === 0) return { bytes, rest: Buffer.from(buffer.subarray(0, held)) };
      bytes += bytesRead;
      onBytes(bytesRead);
      const filled = buffer.subarray(0, held + bytesRead);
      let from = 0;
      for (let at = filled.indexOf(NEWLINE, held); at >= 0; at = filled.indexOf(NEWLINE, from)) {
        number += 1;
        if (onLine(filled.subarray(from, at), number)) return { bytes, rest: Buffer.alloc(0) };
        from = at + 1;
      }
      filled.copyWithin(0, from);
      held = filled.length - from;
      if (held > maxLineBytes) {
        throw new HostError(
          'line-too-long',
          `${doing}: line ${number + 1} is longer than ${maxLineBytes} bytes`,
        );
      }
    }
  } catch (cause) {
    throw hostErrorOf(doing, cause);
  } finally {
    await file?.close();
  }
}
