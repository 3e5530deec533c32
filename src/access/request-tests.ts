import { formatUid } from '../base/entity-uid.ts';
import { BaseError } from '../base/errors.ts';
import { type Reader, dictionary, list, oneOf, optional, readShape, record, text } from '../base/shape.ts';
import {
  MAX_CASES,
  MAX_MATRICES,
  type TestCase,
  matrixFields,
  permitsOf,
  takePermit,
} from '../base/test-case.ts';
import { readYaml } from '../base/yaml.ts';
import { AccessError } from './access-error.ts';
import { readHeaders } from './ask-headers.ts';
import type { AccessDocument } from './document.ts';
import { createRequestReader } from './read-request.ts';
import { REQUEST_REFUSALS } from './refusal.ts';
import { headerName } from './route-shapes.ts';
import type { Route } from './rules.ts';

const elsewhere: Reader<unknown> = (value) => value;
const request = text({ max: 8192, pattern: /^[A-Z-]+ \/\S*$/, is: 'a request such as GET /orders/17' });

const fileShape = record({
  tests: optional(elsewhere),
  requests: optional(
    list(
      record({
        ...matrixFields,
        requests: list(request, { min: 1, max: 1000 }),
        headers: optional(dictionary(text({ min: 0, max: 8192 }), { max: 100 })),
        refused: optional(dictionary(oneOf(...REQUEST_REFUSALS), { max: 1000 })),
      }),
      { max: MAX_MATRICES },
    ),
  ),
});

/**
 * Reads the `requests` of a file of `tests/`: matrices of principals × requests, as if each principal had been
 * identified. What is listed under `permit`, as `principal METHOD /path`, must be permitted, everything else denied.
 * Each request must have a route; those under `refused` must be refused for the reason that stands there.
 * @throws AccessError `tests-invalid` with file and line
 */
export function readRequestTests(bytes: Uint8Array, file: string, { routes }: AccessDocument): TestCase[] {
  const proxies = [{ name: 'test', method: 'request', uri: 'path', host: 'request' }] as const;
  const readRequest = createRequestReader({ proxies: [...proxies], routes });
  const read = new Set(['host', ...routes.flatMap((route) => headersOf(route))]);
  const ask = (
    words: string,
    headers: ReadonlyMap<string, string> = new Map(),
  ): ReturnType<typeof readRequest> => {
    const [method = '', uri = ''] = words.split(' ');
    return readRequest({ method, target: `/authz/test${uri}`, header: readHeaders([...headers].flat()) });
  };
  const { value, yaml } = reading(() => readYaml(bytes, file, fileShape));
  const cases: TestCase[] = [];
  (value.requests ?? []).forEach((test, index) => {
    const at = (...path: (string | number)[]): string =>
      `${file}:${yaml.lineOf(['requests', index, ...path])}`;
    for (const name of test.headers?.keys() ?? []) {
      const header = reading(() => readShape(headerName, name, at('headers', name)));
      // Misspelt, it would leave a field out, and the test would pass for another reason than its author thinks.
      if (!read.has(header)) throw invalid(`${at('headers', name)}: no route reads the header ${name}`);
    }
    const permits = permitsOf(test.permit);
    test.requests.forEach((words, place) => {
      const wanted = ask(words, test.headers);
      if ('refused' in wanted) {
        throw invalid(`${at('requests', place)}: "${words}" is refused: ${wanted.refused}: ${wanted.why}`);
      }
      const { type, id, properties } = wanted.resource;
      for (const principal of test.principals) {
        const names = [`${principal.type}::${principal.id} ${words}`, `${formatUid(principal)} ${words}`];
        cases.push({
          file,
          line: yaml.lineOf(['requests', index]),
          test: `${test.name}: ${words}`,
          principal,
          action: wanted.action.name,
          resource: { type, id },
          context: wanted.context,
          properties,
          environments: test.environments,
          expected: takePermit(permits, names),
        });
        if (cases.length > MAX_CASES) throw invalid(`${file}: more than ${MAX_CASES} cases`);
      }
    });
    for (const [words, place] of permits) {
      throw invalid(`${at('permit', place)}: "${words}" is not in the matrix of this test`);
    }
    for (const [words, reason] of test.refused ?? []) {
      const wanted = ask(words, test.headers);
      const came = 'refused' in wanted ? wanted.refused : `the route "${wanted.route.template.text}"`;
      if (came !== reason)
        throw invalid(`${at('refused', words)}: "${words}" comes to ${came}, not to ${reason}`);
    }
  });
  return cases;
}

/** The headers of which a route takes something. */
function headersOf({ resource, context, properties }: Route): string[] {
  const sources = [resource.id, ...(context?.values() ?? []), ...(properties?.values() ?? [])];
  return sources.flatMap((source) => ('header' in source ? [source.header] : []));
}

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw invalid(cause.message, cause);
  }
}

function invalid(problem: string, cause?: BaseError): AccessError {
  return new AccessError('tests-invalid', problem, {
    cause,
    hint: 'Each test has name, principals, requests such as GET /orders/17, and permit.',
  });
}
