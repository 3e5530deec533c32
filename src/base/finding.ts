import type { BytePath } from './byte-path.ts';
import { displayPath, isUtf8Path } from './display.ts';

/** What can be wrong with a path. The words are part of the contract with clients and the collector. */
export const FINDING_KINDS = [
  'modified',
  'missing',
  'unexpected',
  'metadata',
  'type',
  'unreadable',
  'raced',
  'overmounted',
  'mount-options',
  'unbounded',
] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];

/** One difference between the signed manifest and what the machine shows. */
export type Finding = {
  /** Below the image's root, with a leading slash, escaped for display. */
  path: string;
  /** The raw bytes of the path in base64, only where the path is not UTF-8. */
  pathBase64?: string;
  kind: FindingKind;
  /** What the manifest says, in words: `size=12 sha256=…`, `mode=0644`; empty where it says nothing. */
  expected: string;
  /** What was found. */
  actual: string;
  /** When it was found: RFC 3339, UTC. */
  at: string;
};

/** Makes a finding; `at` is the time of the sweep that found it, in RFC 3339. */
export function finding(
  path: BytePath,
  kind: FindingKind,
  expected: string,
  actual: string,
  at: string,
): Finding {
  const shown = { path: `/${displayPath(path)}`, kind, expected, actual, at };
  return isUtf8Path(path) ? shown : { ...shown, pathBase64: Buffer.from(path, 'latin1').toString('base64') };
}
