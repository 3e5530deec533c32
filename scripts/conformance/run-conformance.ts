import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

import { messageOf } from '../../src/base/errors.ts';
import { type JsonObject, type JsonValue, parseJson } from '../../src/base/json.ts';
import { isObject } from '../../src/base/shape.ts';
import { bakeEntity } from '../../src/policy/compile-entities.ts';
import { readPolicies } from '../../src/policy/compile-policies.ts';
import { readSchemaText } from '../../src/policy/compile.ts';
import {
  type EntityUid,
  type PolicyDocument,
  formatPolicyDocument,
  parsePolicyDocument,
} from '../../src/policy/document.ts';
import type { BakedEntity } from '../../src/policy/entity-lines.ts';
import { createEngine } from '../../src/policy/engine.ts';
import { PolicyError } from '../../src/policy/policy-error.ts';

export type CaseFailure = { name: string; problem: string };
export type ConformanceResult = { passed: number; failures: CaseFailure[] };

const MAX_FILE_BYTES = 256 * 1024 * 1024;
/** Deeper than any policy may nest, so that the engine's own bounds are what is met. */
const MAX_JSON_DEPTH = 512;

/**
 * Runs the tests of every `*.json` below a directory that has `policies`, `entities`, `schema` and `requests`;
 * those name files from the directory or from one above the test. `take` may leave tests out.
 */
export function runConformance(
  directory: string,
  take: (path: string) => boolean = () => true,
): ConformanceResult {
  const result: ConformanceResult = { passed: 0, failures: [] };
  for (const path of testFiles(directory).filter(take)) {
    try {
      const test = readJson(join(directory, path));
      if (isTest(test)) runTest(baseOf(directory, path, test), path, test, result);
    } catch (thrown) {
      result.failures.push({ name: path, problem: `not read: ${messageOf(thrown)}` });
    }
  }
  return result;
}

type TestFile = JsonObject & { policies: string; entities: string; schema: string; requests: JsonObject[] };

function isTest(value: JsonValue): value is TestFile {
  return (
    isObject(value) &&
    ['policies', 'entities', 'schema'].every((name) => typeof value[name] === 'string') &&
    Array.isArray(value['requests'])
  );
}

/** The folder that the file names of a test are relative to: the one given, or one above the test. */
function baseOf(directory: string, path: string, test: TestFile): string {
  let base = directory;
  for (let above = dirname(resolve(directory, path)); !existsSync(join(base, test.policies));) {
    if (above === dirname(above)) return directory;
    base = above;
    above = dirname(above);
  }
  return base;
}

function testFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(
      (entry) => entry.isFile() && entry.name.endsWith('.json') && !entry.name.endsWith('entities.json'),
    )
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

function runTest(directory: string, path: string, test: TestFile, result: ConformanceResult): void {
  let engine;
  try {
    engine = createEngine(loadDocument(directory, test), 'skip');
  } catch (thrown) {
    test.requests.forEach((_, index) =>
      result.failures.push({ name: `${path}[${index}]`, problem: `not loaded: ${messageOf(thrown)}` }),
    );
    return;
  }
  test.requests.forEach((request, index) => {
    const { description = '', decision } = request as { description?: string; decision?: string };
    const name = `${path}[${index}] ${description}`.trim();
    try {
      const answer = engine.decide({
        principal: uidOf(request['principal']),
        action: uidOf(request['action']),
        resource: uidOf(request['resource']),
        context: (request['context'] ?? {}) as JsonObject,
      });
      const got = {
        decision: answer.decision ? 'allow' : 'deny',
        reason: answer.policies.map(({ id }) => id).sort(),
        errors: answer.errors.map(({ id }) => id).sort(),
      };
      const expected = {
        decision: decision?.toLowerCase(),
        reason: idsOf(request['reason']),
        errors: idsOf(request['errors']),
      };
      if (JSON.stringify(got) === JSON.stringify(expected)) result.passed += 1;
      else {
        const messages = answer.errors.map(({ message }) => message).join('; ');
        const problem = `expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)} ${messages}`;
        result.failures.push({ name, problem });
      }
    } catch (thrown) {
      result.failures.push({ name, problem: `not decided: ${messageOf(thrown)}` });
    }
  });
}

/** The document that the pipeline makes, but not validated: some of these policies do not, on purpose. */
function loadDocument(directory: string, test: TestFile): PolicyDocument {
  const text = (path: string): string => readFileSync(join(directory, path), 'utf8');
  const { json, rules } = readSchemaText({ file: test.schema, text: text(test.schema) });
  // Cedar names the policies of a text by their place in it, whatever their annotations say. Templates count, but
  // decide nothing: the format has no links.
  const policies = readPolicies({ file: test.policies, text: text(test.policies) }).flatMap(
    ({ policy, source }, index) => (source.isTemplate ? [] : [{ ...policy, id: `policy${index}` }]),
  );
  const entities = (readJson(join(directory, test.entities)) as JsonObject[]).map((entity) =>
    bakeEntity(entityOf(entity), rules),
  );
  const document: PolicyDocument = { format: 1, schema: json, policies, entities, openTypes: [] };
  return writtenAndRead(document);
}

/** Through the bytes of policy.json, as on a host; a set that may not be released is used as it is. */
function writtenAndRead(document: PolicyDocument): PolicyDocument {
  try {
    return parsePolicyDocument(formatPolicyDocument(document));
  } catch (thrown) {
    const { code } = thrown instanceof PolicyError ? thrown : {};
    if (code === 'policy-empty' || code === 'policy-no-permit') return document;
    throw thrown;
  }
}

function entityOf({ uid, attrs, parents, tags }: JsonObject): BakedEntity {
  const entity: BakedEntity = {
    uid: uidOf(uid),
    attrs: (attrs ?? {}) as JsonObject,
    parents: ((parents ?? []) as JsonValue[]).map(uidOf),
  };
  return tags === undefined ? entity : { ...entity, tags: tags as JsonObject };
}

function uidOf(value: JsonValue | undefined): EntityUid {
  const plain = isObject(value) ? (value['__entity'] ?? value) : undefined;
  const { type, id } = isObject(plain) ? plain : {};
  if (typeof type !== 'string' || typeof id !== 'string') throw new TypeError('not an entity');
  return { type, id };
}

function idsOf(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.map(String).sort() : [];
}

function readJson(path: string): JsonValue {
  return parseJson(readFileSync(path), path, { maxBytes: MAX_FILE_BYTES, maxDepth: MAX_JSON_DEPTH });
}
