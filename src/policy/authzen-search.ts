import { type Sha256, sha256 } from '../base/digest.ts';
import { type JsonObject, type JsonValue, canonicalJson } from '../base/json.ts';
import { type Reader, optional, record, text, whole } from '../base/shape.ts';
import {
  type EvaluationRequest,
  actionShape,
  contextShape,
  entityShape,
  entityTypeShape,
  evaluate,
  ignoreUnknown,
  readRequest,
} from './authzen.ts';
import type { Decision, Engine } from './engine.ts';
import { PolicyError } from './policy-error.ts';

/** What is searched for. */
export type SearchKind = 'subject' | 'resource' | 'action';

/** A search: AuthZEN 1.0, section 8. Of what is searched for, the type alone is known; of an action, nothing. */
export type SearchRequest = {
  kind: SearchKind;
  subject: { type: string; id?: string; properties?: JsonObject };
  action?: EvaluationRequest['action'];
  resource: { type: string; id?: string; properties?: JsonObject };
  context?: JsonObject;
  page: { token?: string; limit?: number };
};

/** What a search found: entities by type and id, actions by name. */
export type Found = { type: string; id: string } | { name: string };

export type SearchResult = {
  results: Found[];
  /** Where the next page goes on; empty where there is none (section 8.2.2). */
  nextToken: string;
  /** Why the question can't be answered at all; then nothing is found. */
  errors: Decision['errors'];
};

/** Results of one page at most, and where the request says nothing. */
export const MAX_PAGE = 1000;

const pageShape = optional(
  record({ token: optional(text({ max: 1024 })), limit: optional(whole()) }, ignoreUnknown),
);
type Asked = Omit<SearchRequest, 'kind' | 'page'> & { page?: SearchRequest['page'] };
const SHAPES: Readonly<Record<SearchKind, Reader<Asked>>> = {
  subject: record(
    {
      subject: entityTypeShape,
      action: actionShape,
      resource: entityShape,
      context: contextShape,
      page: pageShape,
    },
    ignoreUnknown,
  ),
  resource: record(
    {
      subject: entityShape,
      action: actionShape,
      resource: entityTypeShape,
      context: contextShape,
      page: pageShape,
    },
    ignoreUnknown,
  ),
  action: record(
    { subject: entityShape, resource: entityShape, context: contextShape, page: pageShape },
    ignoreUnknown,
  ),
};

/** Reads a search. @throws PolicyError `request-invalid` for what must be answered with 400 */
export function parseSearch(kind: SearchKind, value: JsonValue): SearchRequest {
  const { page = {}, ...request } = readRequest(SHAPES[kind], value);
  return { kind, ...request, page };
}

/**
 * Decides about every candidate in turn - the release's entities of the type, or the schema's actions for such a
 * subject and resource - with the very decision that an evaluation of it gives, so that the results are exact.
 * A page ends where it is full or after `maxTried` candidates; it may then be empty and have a token all the same.
 * @throws PolicyError `request-invalid` where the token is not one of this search
 */
export function search(
  engine: Engine,
  request: SearchRequest,
  { release, maxTried }: { release: Sha256; maxTried: number },
): SearchResult {
  const { kind } = request;
  const candidates =
    kind === 'action'
      ? engine.actionNames(request.resource.type, request.subject.type)
      : engine.idsOf(request[kind].type);
  if (candidates.length === 0) return { results: [], nextToken: '', errors: [nothingToTry(request)] };
  const tokens = tokensOf(request, release);
  const { place: first, limit } = tokens.start(candidates.length);
  const results: Found[] = [];
  let at = first;
  const end = Math.min(candidates.length, first + maxTried);
  for (; at < end && results.length < limit; at += 1) {
    const candidate = candidates[at] ?? '';
    const { decision, context } = evaluate(engine, questionAbout(request, candidate));
    const { errors = [] } = context;
    if (decision) {
      results.push(kind === 'action' ? { name: candidate } : { type: request[kind].type, id: candidate });
    } else if (kind !== 'action' && errors.some(({ id }) => id === '')) {
      // A question that does not fit the schema fits it for no entity of the type; each action has its own context.
      return { results: [], nextToken: '', errors };
    }
  }
  return { results, nextToken: at < candidates.length ? tokens.write(at, limit) : '', errors: [] };
}

function questionAbout(request: SearchRequest, candidate: string): EvaluationRequest {
  const { kind, subject, action, resource, context } = request;
  const named = ({ id = candidate, ...entity }: SearchRequest['subject']): EvaluationRequest['subject'] => ({
    ...entity,
    id,
  });
  return {
    subject: named(subject),
    action: action === undefined || kind === 'action' ? { name: candidate } : action,
    resource: named(resource),
    ...(context === undefined ? {} : { context }),
  };
}

function nothingToTry({ kind, subject, resource }: SearchRequest): Decision['errors'][number] {
  const message =
    kind === 'action'
      ? `the schema has no action for a principal of type ${subject.type} and a resource of type ${resource.type}`
      : `the release has no entity of type ${kind === 'subject' ? subject.type : resource.type}`;
  return { id: '', message };
}

type Tokens = {
  /** Where the page begins and how long it is. @throws PolicyError */
  start: (candidates: number) => { place: number; limit: number };
  write: (place: number, limit: number) => string;
};

/**
 * A token is a place in the list of candidates and the length of a page, with a digest over them, the release and
 * the search: every instance of a release goes on with a search that another one began, and a token is taken for no
 * other search or release (section 8.2). It needs no secret: it decides nothing, and says nothing of what it skips.
 */
function tokensOf({ page, ...asked }: SearchRequest, release: Sha256): Tokens {
  const search = sha256(canonicalJson({ ...asked, release }));
  const write = (place: number, limit: number): string =>
    `${place}.${limit}.${sha256(`${search} ${place} ${limit}`).slice(0, 32)}`;
  return {
    write,
    start: (candidates) => {
      const wanted = page.limit === undefined ? undefined : Math.min(page.limit, MAX_PAGE);
      if (page.token === undefined) return { place: 0, limit: wanted ?? MAX_PAGE };
      const [place = -1, limit = -1] = page.token.split('.', 2).map(Number);
      const isOurs = place < candidates && page.token === write(place, limit);
      if (isOurs && limit === (wanted ?? limit)) return { place, limit };
      throw new PolicyError(
        'request-invalid',
        'request: page.token: must be the next_token of the page before, with the rest of the request unchanged',
      );
    },
  };
}
