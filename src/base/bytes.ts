import { BaseError } from './errors.ts';

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Decodes UTF-8 and refuses anything that is not: replacement characters would let two different inputs
 * read as the same text.
 * @throws BaseError `utf8-invalid`
 */
export function utf8(bytes: Uint8Array, what = 'text'): string {
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw new BaseError('utf8-invalid', `${what} is not valid UTF-8`, { cause });
  }
}

/**
 * Decodes standard base64 (RFC 4648 section 4, with padding) and refuses every second spelling of the same
 * bytes: missing padding, white space, the URL alphabet, non-zero trailing bits.
 * @throws BaseError `base64-invalid`
 */
export function base64(text: string, what = 'value'): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) {
    throw new BaseError('base64-invalid', `${what} is not canonical base64 (RFC 4648 section 4)`);
  }
  return bytes;
}
