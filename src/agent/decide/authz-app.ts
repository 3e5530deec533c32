import type { Admitted, Refused } from '../../access/gate.ts';
import { SUBJECT_HEADER } from '../../access/read-request.ts';
import { isCredentialRefusal } from '../../access/refusal.ts';
import { type EntityUid, formatUid } from '../../base/entity-uid.ts';
import type { PlainRequest, PlainResponse } from '../../host/net/http-server.ts';
import { PolicyError } from '../../policy/policy-error.ts';
import type { Answer, Asked, Decider } from './decider.ts';
import type { Metrics } from '../metrics.ts';
import type { OpenGate } from './open-gate.ts';
import { requestIdOf } from '../router.ts';

/** Where proxies ask; what follows names the proxy. */
export const AUTHZ_PREFIX = '/authz/';

export type AuthzOptions = {
  /** Absent where no release was verified; then the verdict is not `trusted`. */
  open: OpenGate | undefined;
  decider: Decider;
  metrics: Metrics;
  now: () => Date;
};

/**
 * Answers proxies that ask about a request of their client (nginx `auth_request`, Envoy's HTTP ext_authz, Traefik
 * ForwardAuth, Caddy `forward_auth`, HAProxy): 200 permitted, 401 nobody we know is asking, 403 denied, 503 this
 * machine is not trusted, or can't keep account of decisions. A proxy may hand the answer to its client, so it names
 * no policy: that stands in the decision log, by the decision's id.
 */
export function createAuthzApp({
  open,
  decider,
  metrics,
  now,
}: AuthzOptions): (request: PlainRequest) => PlainResponse | Promise<PlainResponse> {
  const decide = (outcome: Admitted | Refused, asked: Asked): PlainResponse => {
    if (!('refused' in outcome)) {
      const { subject } = outcome.question;
      const answer = decider.one(outcome.question, asked);
      const more = answer.decision ? { [SUBJECT_HEADER]: asciiUid(subject) } : undefined;
      return respond(answer, 403, answer.context.reason, asked, more);
    }
    const { refused, why } = outcome;
    const question = new PolicyError('request-invalid', `${refused}: ${why}`);
    const [answer] = decider.all({ items: [question], semantic: 'execute_all' }, asked);
    if (answer === undefined) throw new Error('no answer to a question');
    const nobody = isCredentialRefusal(outcome);
    const more = nobody && open !== undefined ? { 'www-authenticate': open.challenge } : undefined;
    return respond(answer, nobody ? 401 : 403, refused, asked, more);
  };
  return (request) => {
    const client = request.client(); // now: a token takes time, and a closed connection has no name
    const requestId = requestIdOf(request);
    const conclude = (outcome: Admitted | Refused): PlainResponse => {
      const answer = decide(outcome, { via: 'proxy', client, requestId, identity: outcome.identity });
      metrics.countRequest(answer.status);
      return answer;
    };
    if (open === undefined) return conclude({ refused: 'no-route', why: 'no release was verified' });
    const { method, target, rawHeaders: headers } = request;
    const outcome = open.gate({ method, target, headers, peer: request.peer() }, now());
    return outcome instanceof Promise ? outcome.then(conclude) : conclude(outcome);
  };
}

function respond(
  { decision, context }: Answer,
  deny: 401 | 403,
  why: string,
  { requestId }: Asked,
  more: Readonly<Record<string, string>> | undefined,
): PlainResponse {
  const { decisionId } = context;
  // What the machine can't answer, whoever asks for whatever.
  const isOut = context.reason === 'not-trusted' || context.reason === 'not-logged';
  const reason = isOut ? context.reason : why;
  return {
    status: decision ? 200 : isOut ? 503 : deny,
    headers: {
      'cache-control': 'no-store',
      'content-type': 'application/json',
      'x-content-type-options': 'nosniff',
      'x-sealborn-decision-id': decisionId,
      'x-sealborn-reason': reason,
      ...(requestId === undefined ? {} : { 'x-request-id': requestId }),
      ...(isOut ? {} : more),
    },
    body: JSON.stringify({ decision, reason, decisionId }),
  };
}

/** As a header's value can hold it: what is not ASCII is escaped as in JSON. */
function asciiUid({ type, id }: EntityUid): string {
  return formatUid({ type, id }).replaceAll(
    /[\u007f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
