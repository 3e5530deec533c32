import { LineCounter, isAlias, isMap, isNode, isScalar, isSeq, parseDocument, visit } from 'yaml';

import { utf8 } from './bytes.ts';
import { BaseError } from './errors.ts';
import { type JsonObject, type JsonValue, emptyObject } from './json.ts';
import { type FieldPath, type Reader, ShapeError, formatFieldPath, readShape } from './shape.ts';

/** A YAML file of people's: at most this many bytes are read. Entities of a large company fit. */
export const MAX_YAML_BYTES: number = 64 * 1024 * 1024;

export type YamlFile = {
  /** The name that errors show. */
  file: string;
  value: JsonValue;
  /** The line (from 1) where a field stands, or of its nearest parent that stands somewhere. */
  lineOf: (path: FieldPath) => number;
};

/**
 * Parses one YAML 1.2 document of the core schema: unique keys, string keys, no aliases or anchors (what one
 * line says must not change another), no tags, integers never rounded.
 * @throws BaseError `yaml-invalid` with file, line and what to do; `utf8-invalid`
 */
export function parseYaml(bytes: Uint8Array, file: string): YamlFile {
  if (bytes.length > MAX_YAML_BYTES) {
    throw new BaseError(
      'yaml-invalid',
      `${file} is ${bytes.length} bytes; at most ${MAX_YAML_BYTES} are read`,
    );
  }
  const text = utf8(bytes, file);
  const lines = new LineCounter();
  let document;
  try {
    document = parseDocument(text, {
      version: '1.2',
      schema: 'core',
      strict: true,
      uniqueKeys: true,
      intAsBigInt: true,
      lineCounter: lines,
      prettyErrors: false,
    });
  } catch (cause) {
    throw new BaseError('yaml-invalid', `${file}: nested too deep to read`, { cause });
  }
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) {
    const at = lines.linePos(problem.pos[0]);
    throw new BaseError('yaml-invalid', `${file}:${at.line}:${at.col}: ${problem.message}`, {
      hint: 'Mend the YAML at that line; a linter such as yamllint shows more.',
    });
  }
  const lineAt = (range: readonly number[] | null | undefined): number =>
    range?.[0] === undefined ? 1 : lines.linePos(range[0]).line;
  visit(document, (_, node) => {
    if (isAlias(node)) {
      throw new BaseError('yaml-invalid', `${file}:${lineAt(node.range)}: aliases are not allowed`, {
        hint: 'Write the value out where it is used: a reviewer must see what a line grants.',
      });
    }
  });
  const raw: unknown = document.toJS({ mapAsMap: true });
  const lineOf = (path: FieldPath): number => {
    let node: unknown = document.contents;
    let line = 1;
    for (const step of path) {
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && key.value === step);
        if (pair === undefined || !isScalar(pair.key)) break;
        line = lineAt(pair.key.range);
        node = pair.value;
      } else if (isSeq(node) && typeof step === 'number') {
        node = node.items[step];
        if (!isNode(node)) break;
        line = lineAt(node.range);
      } else break;
    }
    return line;
  };
  return { file, value: plain(raw, file), lineOf };
}

/**
 * Parses a YAML file and reads it with `reader`; every problem is reported as `file:line: field: message`.
 * @throws BaseError `yaml-invalid`, `shape-invalid`
 */
export function readYaml<T>(
  bytes: Uint8Array,
  file: string,
  reader: Reader<T>,
): { value: T; yaml: YamlFile } {
  const yaml = parseYaml(bytes, file);
  try {
    return { value: readShape(reader, yaml.value, file), yaml };
  } catch (thrown) {
    if (!(thrown instanceof ShapeError)) throw thrown;
    const shown = thrown.problems
      .slice(0, 20)
      .map((p) => `${file}:${yaml.lineOf(p.path)}: ${formatFieldPath(p.path)} ${p.message}`);
    throw new BaseError('shape-invalid', shown.join('\n'), { cause: thrown });
  }
}

function plain(value: unknown, file: string): JsonValue {
  if (value instanceof Map) {
    const out: JsonObject = emptyObject();
    for (const [key, member] of value) {
      if (typeof key !== 'string') {
        throw new BaseError('yaml-invalid', `${file}: the key ${String(key)} is not a string`, {
          hint: 'Put it in quotes.',
        });
      }
      out[key] = plain(member, file);
    }
    return out;
  }
  if (Array.isArray(value)) return value.map((member) => plain(member, file));
  if (typeof value === 'bigint') {
    const rounded = Number(value);
    return Number.isSafeInteger(rounded) ? rounded : value;
  }
  if (value === undefined) return null;
  return value as JsonValue;
}
