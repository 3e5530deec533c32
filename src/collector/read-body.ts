import { messageOf } from '../base/errors.ts';
import { CollectorError } from './collector-error.ts';

/**
 * Reads a request's body of at most `maxBytes`; what is announced as larger is refused unread.
 * @throws CollectorError `body-too-large`, `body-cut-off`
 */
export async function readBody(request: Request, maxBytes: number): Promise<Buffer> {
  const announced = request.headers.get('content-length');
  if (announced !== null && Number(announced) > maxBytes) throw tooLarge(maxBytes);
  if (request.body === null) return Buffer.alloc(0);
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = request.body.getReader();
  for (;;) {
    const { done, value } = await nextChunk(reader);
    if (done) return Buffer.concat(chunks, length);
    length += value.length;
    if (length > maxBytes) {
      // Without waiting: a peer that keeps sending must not be able to hold this up.
      reader.cancel().catch(() => {});
      throw tooLarge(maxBytes);
    }
    chunks.push(value);
  }
}

async function nextChunk(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<{ done: true; value?: undefined } | { done: false; value: Uint8Array }> {
  try {
    const { done, value } = await reader.read();
    return value === undefined || done ? { done: true } : { done, value };
  } catch (cause) {
    throw new CollectorError('body-cut-off', `the body could not be read whole: ${messageOf(cause)}`, {
      cause,
    });
  }
}

function tooLarge(maxBytes: number): CollectorError {
  return new CollectorError('body-too-large', `a report is at most ${maxBytes} bytes`);
}
