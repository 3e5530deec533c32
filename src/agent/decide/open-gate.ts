import { type Gate, createGate } from '../../access/gate.ts';
import type { AccessDocument } from '../../access/document.ts';
import { unknownAccounts } from '../../access/peer.ts';
import { formatUid } from '../../base/entity-uid.ts';
import { readAccountNumbers } from '../../host/account-numbers.ts';
import type { Log } from '../../host/log/log.ts';
import type { PolicyDocument } from '../../policy/document.ts';
import type { Engine } from '../../policy/engine.ts';

/** The gate of a release, and what it asks for where nobody we know is asking (RFC 9110 section 11.6.1). */
export type OpenGate = { gate: Gate; challenge: string };

/**
 * Makes the gate of a verified release on this machine: names of users and groups become the numbers that the
 * kernel knows, and a token's subject must be an entity of the release or of a type that requests may describe.
 */
export async function openGate(
  access: AccessDocument,
  { openTypes }: Pick<PolicyDocument, 'openTypes'>,
  { idsOf }: Pick<Engine, 'idsOf'>,
  log: Log,
): Promise<OpenGate> {
  const accounts = await readAccountNumbers();
  for (const account of unknownAccounts(access.identity, accounts)) {
    log.warn(
      { code: 'account-unknown', account },
      `the release names the ${account}, which this machine does not have`,
    );
  }
  const types = access.identity.flatMap((source) => ('jwt' in source ? [source.jwt.subject.type] : []));
  const baked = new Set(types.flatMap((type) => idsOf(type).map((id) => formatUid({ type, id }))));
  const gate = createGate(access, {
    accounts,
    isKnown: (subject) => openTypes.includes(subject.type) || baked.has(formatUid(subject)),
  });
  return { gate, challenge: challengeOf(access) };
}

/** The authentication schemes of the release's sources of identity; where none has one, a word for keys in headers. */
function challengeOf({ identity }: AccessDocument): string {
  const schemes = identity.flatMap((source) => {
    if ('jwt' in source) return source.jwt.scheme ?? [];
    return 'apiKey' in source ? (source.apiKey.scheme ?? []) : [];
  });
  return schemes.length === 0 ? 'ApiKey' : [...new Set(schemes)].join(', ');
}
