import { type EntityUid, formatUid } from '../base/entity-uid.ts';
import type { JsonObject } from '../base/json.ts';
import { API_KEY_PREFIX, createApiKeyCheck } from './api-key.ts';
import { type HeaderReader, REPEATED, repeatedHeader } from './ask-headers.ts';
import type { AccessDocument } from './document.ts';
import type { CertificateRules, CredentialHeader, JwtRules, PeerRules } from './rules.ts';
import { type AccountNumbers, type Peer, createPeerSubjects, createPeerTest } from './peer.ts';
import { type CredentialRefusal, type Refusal, refuse } from './refusal.ts';
import { claimedIssuer, createTokenCheck } from './token.ts';

/** What somebody showed to be known: the name of it, never the credential itself. */
export type Shown = { apiKey: string } | { jwt: string } | { clientCertificate: string } | { peer: string };

/** Who is asking, what their credentials say of them, and which ones they showed. */
export type Identity = { subject: EntityUid; properties?: JsonObject; shown: readonly Shown[] };

/** What a request has to show. */
export type Credentials = { header: HeaderReader; peer: Peer | undefined; now: Date };

export type IdentifyOptions = {
  document: Pick<AccessDocument, 'identity' | 'apiKeys'>;
  accounts: AccountNumbers;
  /** Whether a subject that a token names is one that the release holds, or of a type that requests may describe. */
  isKnown: (subject: EntityUid) => boolean;
};

type Outcome = Identity | Refusal<CredentialRefusal>;
/** What one source makes of a request; undefined where the request shows nothing to it. */
type Source = (credentials: Credentials) => Outcome | Promise<Outcome> | undefined;
/** What may stand in a header: `takes` gives the credential, or undefined where it is not of this kind. */
type Kind = {
  takes: (value: string) => string | undefined;
  check: (taken: string, credentials: Credentials) => Outcome | Promise<Outcome>;
};

/**
 * Makes what tells who is asking. Every source of the release is tried, in its order: whatever the request shows
 * must hold, and all of it must name the same subject. It answers at once unless there is a token to verify.
 */
export function createIdentify(
  options: IdentifyOptions,
): (credentials: Credentials) => Outcome | Promise<Outcome> {
  const sources = sourcesOf(options);
  return (credentials) => {
    const outcomes = sources.map((source) => source(credentials)).filter((one) => one !== undefined);
    const isReady = (one: Outcome | Promise<Outcome>): one is Outcome => !(one instanceof Promise);
    return outcomes.every(isReady)
      ? conclude(outcomes)
      : Promise.all(outcomes.map((one) => Promise.resolve(one))).then(conclude);
  };
}

function conclude(outcomes: readonly Outcome[]): Outcome {
  const [first] = outcomes;
  if (first === undefined) return refuse('no-identity', 'the request shows nothing that says who is asking');
  let all = first;
  for (const one of outcomes.slice(1)) {
    if ('refused' in one) return one;
    if ('refused' in all) return all;
    if (formatUid(one.subject) !== formatUid(all.subject)) {
      const names = `${formatUid(all.subject)} and ${formatUid(one.subject)}`;
      return refuse('identity-conflict', `the request shows two subjects: ${names}`);
    }
    all = { ...all, shown: [...all.shown, ...one.shown] };
    if (one.properties !== undefined) all = { ...all, properties: { ...all.properties, ...one.properties } };
  }
  return all;
}

function sourcesOf({ document: { identity, apiKeys }, accounts, isKnown }: IdentifyOptions): Source[] {
  const kinds = new Map<string, Kind[]>();
  const sources: Source[] = [];
  /** One source for each header, so that what none of its kinds takes is noticed. */
  const add = (header: string, kind: Kind): void => {
    const known = kinds.get(header);
    if (known !== undefined) {
      known.push(kind);
      return;
    }
    const own = [kind];
    kinds.set(header, own);
    sources.push(headerSource(header, own));
  };
  const checkKey = createApiKeyCheck(apiKeys);
  for (const source of identity) {
    if ('apiKey' in source) add(source.apiKey.header, apiKeyKind(source.apiKey, checkKey));
    else if ('jwt' in source) add(source.jwt.header, tokenKind(source.jwt, isKnown));
    else if ('clientCertificate' in source) {
      add(source.clientCertificate.header, certificateKind(source.clientCertificate, accounts));
    } else sources.push(peerSource(source.peer, accounts));
  }
  return sources;
}

function headerSource(header: string, kinds: readonly Kind[]): Source {
  return (credentials) => {
    const value = credentials.header(header);
    if (value === undefined) return undefined;
    if (value === REPEATED) return refuse('credential-repeated', repeatedHeader(header));
    for (const { takes, check } of kinds) {
      const taken = takes(value);
      if (taken !== undefined) return check(taken, credentials);
    }
    return refuse('credential-unknown', `the header ${header} holds nothing that the release takes there`);
  };
}

function apiKeyKind(where: CredentialHeader, checkKey: ReturnType<typeof createApiKeyCheck>): Kind {
  return {
    takes: (value) => {
      const key = credentialIn(value, where);
      return key?.startsWith(API_KEY_PREFIX) === true ? key : undefined;
    },
    check: (key, { now }) => {
      const found = checkKey(key, now);
      return 'refused' in found ? found : { subject: found.subject, shown: [{ apiKey: found.id }] };
    },
  };
}

function tokenKind(rules: JwtRules, isKnown: IdentifyOptions['isKnown']): Kind {
  const checkToken = createTokenCheck(rules);
  return {
    takes: (value) => {
      const token = credentialIn(value, rules);
      return token !== undefined && claimedIssuer(token) === rules.issuer ? token : undefined;
    },
    check: async (token, { now }) => {
      const said = await checkToken(token, now);
      if ('refused' in said) return said;
      const subject = { type: rules.subject.type, id: said.id };
      if (!isKnown(subject)) return refuse('subject-unknown', `the release has no ${formatUid(subject)}`);
      return { subject, properties: said.properties, shown: [{ jwt: rules.issuer }] };
    },
  };
}

function certificateKind({ proxies, subjects }: CertificateRules, accounts: AccountNumbers): Kind {
  const isProxy = createPeerTest(proxies, accounts);
  return {
    takes: (value) => value,
    check: (value, { peer }) => {
      if (peer === undefined || !isProxy(peer)) {
        return refuse(
          'proxy-not-trusted',
          "who asks is no proxy whose word on a client's certificate is taken",
        );
      }
      const subject = subjects.get(value);
      if (subject === undefined)
        return refuse('certificate-unknown', 'the release knows no such certificate');
      return { subject, shown: [{ clientCertificate: value }] };
    },
  };
}

function peerSource(rules: PeerRules, accounts: AccountNumbers): Source {
  const subjectsOf = createPeerSubjects(rules, accounts);
  return ({ peer }) => {
    const subjects = peer === undefined ? [] : subjectsOf(peer);
    if (peer === undefined || subjects.length === 0) return undefined;
    const one = conclude(subjects.map((subject): Outcome => ({ subject, shown: [] })));
    return 'refused' in one ? one : { ...one, shown: [{ peer: `uid=${peer.uid},gid=${peer.gid}` }] };
  };
}

/** What follows the scheme (RFC 9110 section 11.4; its name in any case), or the whole value where there is none. */
function credentialIn(value: string, { scheme }: CredentialHeader): string | undefined {
  if (scheme === undefined) return value;
  const [, name, credential] = /^([^ ]+) +([^ ]+)$/.exec(value) ?? [];
  return name?.toLowerCase() === scheme.toLowerCase() ? credential : undefined;
}
