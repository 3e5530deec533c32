/** Header lines as they came in: name, value, name, value, … with repeated ones apart (node:http `rawHeaders`). */
export type RawHeaders = readonly string[];

/** A header's value; undefined where it is not there or empty; `REPEATED` where it stands more than once, or as an alias. */
export type HeaderReader = (name: string) => string | undefined | typeof REPEATED;

/**
 * What is said twice is said by nobody: of two headers of one name, proxies, node:http and applications each
 * take another one, or both.
 */
export const REPEATED: unique symbol = Symbol('repeated');

/**
 * Reads headers by their names in lower case. Another name that has `_` for `-` is an alias: applications that are told of
 * headers as CGI's variables (RFC 3875 section 4.1.18) can't tell the two apart.
 */
export function readHeaders(raw: RawHeaders): HeaderReader {
  const values = new Map<string, string | typeof REPEATED>();
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] ?? '').toLowerCase();
    values.set(name, values.has(name) ? REPEATED : (raw[index + 1] ?? ''));
    if (name.includes('_')) values.set(name.replaceAll('_', '-'), REPEATED);
  }
  return (name) => values.get(name) || undefined;
}

/** What is wrong where a header is `REPEATED`. */
export function repeatedHeader(name: string): string {
  return `the header ${name} stands more than once, or with "_" for "-"`;
}
