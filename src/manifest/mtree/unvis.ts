/** Escapes of one letter, as strvis(3) with VIS_CSTYLE writes them; `\0` is a NUL, which no name holds. */
const LETTERS: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  t: '\t',
  n: '\n',
  v: '\v',
  f: '\f',
  r: '\r',
  s: ' ',
  E: '\u001b',
};

const ESCAPE =
  /\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|M-([!-~])|M\^([?-_])|\^([?-_])|([abtnvfrsE])|([!-/:-@[-`{-~]))/y;

/**
 * Undoes vis(3) in any of its spellings: octal (`\040`, and as libarchive and go-mtree write it), of C (`\n`, `\s`),
 * of cat -v (`\^[`, `\M-C`, `\M^@`), hexadecimal, and a backslash before a mark (`\#`, `\\`). Bytes are code units.
 * @returns undefined where a backslash begins none of them, or where a NUL or a number over 255 comes out
 */
export function unvis(text: string): string | undefined {
  let from = text.indexOf('\\');
  if (from < 0) return text;
  let out = '';
  let at = 0;
  for (; from >= 0; from = text.indexOf('\\', at)) {
    ESCAPE.lastIndex = from;
    const found = ESCAPE.exec(text);
    if (found === null) return undefined;
    const decoded = decode(found);
    if (decoded === undefined) return undefined;
    out += text.slice(at, from) + decoded;
    at = ESCAPE.lastIndex;
  }
  return out + text.slice(at);
}

function decode([, octal, hex, meta, metaControl, control, letter, mark]: RegExpExecArray):
  | string
  | undefined {
  if (letter !== undefined) return LETTERS[letter];
  // `\^` alone is half an escape; `\$` is a mark of unvis(3) that stands for nothing, which no name needs.
  if (mark !== undefined) return mark === '^' || mark === '$' ? undefined : mark;
  let code = 0;
  if (octal !== undefined) code = Number.parseInt(octal, 8);
  else if (hex !== undefined) code = Number.parseInt(hex, 16);
  else if (meta !== undefined) code = meta.charCodeAt(0) | 0x80;
  else if (metaControl !== undefined) code = controlOf(metaControl) | 0x80;
  else if (control !== undefined) code = controlOf(control);
  return code === 0 || code > 0xff ? undefined : String.fromCharCode(code);
}

/** `?` is DEL, the rest lies 64 above its control character. */
function controlOf(sign: string): number {
  return sign === '?' ? 0x7f : sign.charCodeAt(0) & 0x1f;
}
