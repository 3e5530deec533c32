import type { EntityUid } from '../base/entity-uid.ts';
import type { JsonObject } from '../base/json.ts';
import { type RawHeaders, readHeaders } from './ask-headers.ts';
import type { Route } from './rules.ts';
import { type Identity, type IdentifyOptions, createIdentify } from './identify.ts';
import type { Peer } from './peer.ts';
import { type Wanted, createRequestReader } from './read-request.ts';
import type { Refusal } from './refusal.ts';
import type { AccessDocument } from './document.ts';

/** A request to `/authz/…` as it came in: its target as sent, its headers one by one. */
export type GateRequest = { method: string; target: string; headers: RawHeaders; peer: Peer | undefined };

/** Who wants to do what to what: a question for the policies. */
export type GateQuestion = {
  subject: EntityUid & { properties?: JsonObject };
  action: { name: string };
  resource: { type: string; id: string; properties?: JsonObject };
  context: JsonObject;
};

export type Admitted = { question: GateQuestion; route: Route; identity: Identity };
/** A request that is no question; by whom, where that much is known. */
export type Refused = Refusal & { identity?: Identity };

/** Turns a request into a question, or says why it can't. It answers at once unless there is a token to verify. */
export type Gate = (request: GateRequest, now: Date) => Admitted | Refused | Promise<Admitted | Refused>;

/**
 * Makes the gate of a release. Who is asking comes first: a request of nobody is answered as such, whatever it
 * asks.
 */
export function createGate(document: AccessDocument, options: Omit<IdentifyOptions, 'document'>): Gate {
  const identify = createIdentify({ document, ...options });
  const read = createRequestReader(document);
  return ({ method, target, headers, peer }, now) => {
    const header = readHeaders(headers);
    const admit = (identity: Identity | Refusal): Admitted | Refused => {
      if ('refused' in identity) return identity;
      const wanted = read({ method, target, header });
      if ('refused' in wanted) return { ...wanted, identity };
      return { question: questionOf(identity, wanted), route: wanted.route, identity };
    };
    const identity = identify({ header, peer, now });
    return identity instanceof Promise ? identity.then(admit) : admit(identity);
  };
}

/** The question that an identified subject asks with what it wants. */
export function questionOf(
  { subject, properties }: Pick<Identity, 'subject' | 'properties'>,
  wanted: Wanted,
): GateQuestion {
  const { action, resource, context } = wanted;
  return {
    subject: properties === undefined ? subject : { ...subject, properties },
    action,
    resource,
    context,
  };
}
