import { HostError } from './host-error.ts';

const NEWLINE = 0x0a;

/**
 * Cuts a stream of bytes into lines, without their newline. At most `maxBytes` of an unfinished line are held.
 * @returns a function that takes the next bytes and gives the lines they complete
 * @throws HostError `line-too-long` (the returned function), after which it must not be called again
 */
export function createLineReader(maxBytes: number): (chunk: Buffer) => Buffer[] {
  let pieces: Buffer[] = [];
  let held = 0;
  const hold = (piece: Buffer): void => {
    held += piece.length;
    if (held > maxBytes) {
      throw new HostError('line-too-long', `a line is longer than ${maxBytes} bytes`);
    }
    pieces.push(piece);
  };
  return (chunk) => {
    const lines: Buffer[] = [];
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      hold(chunk.subarray(from, end));
      lines.push(Buffer.concat(pieces));
      pieces = [];
      held = 0;
      from = end + 1;
    }
    if (from < chunk.length) hold(chunk.subarray(from));
    return lines;
  };
}
