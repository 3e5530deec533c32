import { isUtf8 } from 'node:buffer';

import type { BytePath } from './byte-path.ts';

/**
 * Text made safe for a terminal, a log or a page: control characters, bidirectional overrides, zero-width
 * characters, lone surrogates and the backslash itself become visible escapes, so that what is shown can be
 * told apart from every other input and can move no cursor.
 */
export function escapeText(text: string): string {
  return text.replaceAll(
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\\]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g,
    (c) => {
      if (c === '\\') return '\\\\';
      if (c === '\n') return '\\n';
      if (c === '\r') return '\\r';
      if (c === '\t') return '\\t';
      const code = c.charCodeAt(0);
      return code < 0x100
        ? `\\x${code.toString(16).padStart(2, '0')}`
        : `\\u${code.toString(16).padStart(4, '0')}`;
    },
  );
}

/**
 * Like `escapeText`, but a backslash stays as it is: for a sentence that quotes names which were escaped
 * before.
 */
export function escapeControls(text: string): string {
  return text.split('\\').map(escapeText).join('\\');
}

/**
 * A path of raw bytes as shown to a person. A path that is valid UTF-8 is shown as text, escaped as
 * `escapeText` does; in one that is not, every byte from 0x80 up is shown as `\xHH`.
 */
export function displayPath(path: BytePath): string {
  const bytes = Buffer.from(path, 'latin1');
  if (isUtf8(bytes)) return escapeText(bytes.toString('utf8'));
  return escapeText(path).replaceAll(/[\u00a0-\u00ff]/g, (c) => `\\x${c.charCodeAt(0).toString(16)}`);
}

/** Whether the raw bytes of `path` are valid UTF-8, so that `displayPath` alone identifies it. */
export function isUtf8Path(path: BytePath): boolean {
  return isUtf8(Buffer.from(path, 'latin1'));
}
