import { parseAccessDocument } from '../../src/access/document.ts';
import { type Admitted, createGate } from '../../src/access/gate.ts';
import type { Peer } from '../../src/access/peer.ts';
import type { Refusal } from '../../src/access/refusal.ts';
import { compileAccess } from '../../src/access/source.ts';
import { parseJson } from '../../src/base/json.ts';
import { canonicalJson } from '../../src/base/json.ts';
import { formatUid } from '../../src/base/entity-uid.ts';

export type Asking = {
  method?: string;
  target?: string;
  headers?: readonly (readonly [string, string])[];
  peer?: Peer;
  now?: Date;
};

/** Compiles files of `access/`, writes them as `policy.json` would, reads that back, and opens the gate. */
export function openGate(
  files: Readonly<Record<string, string>>,
  known: readonly string[] = [],
): (asking: Asking) => Promise<Admitted | Refusal> {
  const section = compileAccess(
    Object.entries(files).map(([file, text]) => ({ file: `access/${file}`, bytes: Buffer.from(text) })),
  );
  const read = parseJson(canonicalJson(section), 'policy.json', { maxBytes: 1_000_000 });
  const gate = createGate(parseAccessDocument(read as Parameters<typeof parseAccessDocument>[0]), {
    accounts: {
      user: (name) => ({ 'www-data': 33, backup: 34 })[name],
      group: (name) => ({ backup: 340, ops: 350, web: 360 })[name],
    },
    isKnown: (subject) => known.includes(formatUid(subject)),
  });
  return async ({ method = 'GET', target = '/authz/nginx', headers = [], peer, now = new Date() }) =>
    gate({ method, target, headers: headers.flat(), peer }, now);
}

/** The subject that was admitted, or the code of the refusal. */
export function whoOf(outcome: Admitted | Refusal): string {
  return 'refused' in outcome ? outcome.refused : formatUid(outcome.question.subject);
}
