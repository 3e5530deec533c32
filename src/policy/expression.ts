import type { JsonObject, JsonValue } from '../base/json.ts';
import { isObject } from '../base/shape.ts';
import type { Entity } from './entity.ts';
import { EvaluationError } from './evaluation-error.ts';
import { EXTENSION_FUNCTIONS } from './extension-functions.ts';
import { type PatternPiece, likePattern } from './like-pattern.ts';
import { negateLong } from './long.ts';
import {
  BINARY_OPERATORS,
  isEmpty,
  isInAny,
  takeBool,
  takeEntity,
  takeLong,
  takeString,
  typeError,
} from './operators.ts';
import { PolicyError } from './policy-error.ts';
import { readValue } from './read-value.ts';
import { type CedarRecord, EMPTY_RECORD, type Value, makeRecord, makeSet } from './value.ts';

/** What a policy is evaluated on. */
export type Situation = {
  readonly principal: Entity;
  readonly action: Entity;
  readonly resource: Entity;
  readonly context: CedarRecord;
  /** Entities that the request describes and the release does not hold. */
  readonly described: readonly Entity[];
};

/** A compiled expression. @throws EvaluationError */
export type Code = (situation: Situation) => Value;

/** How an expression's names of entities become entities. */
export type Names = { entity: (type: string, id: string) => Entity };

/**
 * Expressions inside each other at most. Evaluation recurses, so this bounds its stack; chains of `&&` and `||`
 * count once however long they are.
 */
export const MAX_EXPRESSION_DEPTH = 100;

/** A compiled expression and, where it is the same for every request, its value. */
type Piece = { code: Code; constant?: Value };

/**
 * Compiles an expression of Cedar's JSON policy format to a closure.
 * @throws PolicyError `document-invalid` where it is none
 */
export function compileExpression(expression: JsonValue, names: Names): Code {
  return compile(expression, names, 0).code;
}

function compile(expression: JsonValue, names: Names, depth: number): Piece {
  if (depth > MAX_EXPRESSION_DEPTH) throw invalid(`expressions nest more than ${MAX_EXPRESSION_DEPTH} deep`);
  const entry = isObject(expression) ? Object.entries(expression) : [];
  const [name, body] = (entry.length === 1 ? entry[0] : undefined) ?? [];
  if (name === undefined || body === undefined) throw invalid('an expression must be an object with one key');
  const sub = (part: JsonValue | undefined): Piece => compile(part ?? null, names, depth + 1);
  switch (name) {
    case 'Value':
      return fixed(() => readValue(body, undefined, names));
    case 'Var':
      return variable(body);
    case 'Set':
      if (!Array.isArray(body)) throw invalid('a set must be a list');
      return gather(body.map(sub), (values) => makeSet(values));
    case 'Record': {
      if (!isObject(body)) throw invalid('a record must be an object');
      const keys = Object.keys(body);
      const parts = keys.map((key) => sub(body[key] as JsonValue));
      return gather(parts, (values) =>
        makeRecord(new Map(keys.map((key, index) => [key, values[index] as Value]))),
      );
    }
  }
  const extension = EXTENSION_FUNCTIONS.get(name);
  if (extension !== undefined) {
    if (!Array.isArray(body)) throw invalid(`the arguments of ${name} must be a list`);
    const right = body.length === extension.arguments;
    // Cedar parses a call with too many arguments, and fails when it evaluates it.
    return gather(body.map(sub), right ? extension.call : () => wrongArguments(name, body.length));
  }
  if ((name === '&&' || name === '||') && Array.isArray(body)) return { code: chain(name, body.map(sub)) };
  if (!isObject(body)) throw invalid(`"${name}" is no operator`);
  return operator(name, body, sub);
}

function operator(name: string, body: JsonObject, sub: (part: JsonValue | undefined) => Piece): Piece {
  const binary = BINARY_OPERATORS.get(name);
  if (binary !== undefined) {
    const [left, right] = [sub(body['left']), sub(body['right'])];
    const { constant } = right;
    if (constant === undefined) {
      const [first, second] = [left.code, right.code];
      return { code: (situation) => binary(first(situation), second(situation)) };
    }
    if (left.constant !== undefined) return gather([left, right], ([a, b]) => binary(a as Value, b as Value));
    // Most policies compare with a literal; this saves them a call.
    const { code } = left;
    return { code: (situation) => binary(code(situation), constant) };
  }
  const unary = (run: (value: Value) => Value): Piece =>
    gather([sub(body['arg'])], ([value]) => run(value as Value));
  const left = (): Code => sub(body['left']).code;
  switch (name) {
    case '!':
      return unary((value) => !takeBool(value));
    case 'neg':
      return unary((value) => negateLong(takeLong(value)));
    case 'isEmpty':
      return unary(isEmpty);
    case '&&':
    case '||':
      return { code: chain(name, [sub(body['left']), sub(body['right'])]) };
    case 'if-then-else':
      return { code: choice(sub(body['if']).code, sub(body['then']).code, sub(body['else']).code) };
    case '.':
      return { code: attribute(left(), text(body['attr'])) };
    case 'has':
      return { code: hasPath(left(), body['attr']) };
    case 'getTag':
      return { code: getTag(left(), sub(body['right']).code) };
    case 'hasTag':
      return { code: hasTag(left(), sub(body['right']).code) };
    case 'like': {
      const test = likePattern(patternOf(body['pattern']));
      return gather([sub(body['left'])], ([value]) => test(takeString(value as Value)));
    }
    case 'is':
      return {
        code: isType(
          left(),
          text(body['entity_type']),
          body['in'] === undefined ? undefined : sub(body['in']).code,
        ),
      };
    default:
      throw invalid(`"${name}" is no operator`);
  }
}

function variable(name: JsonValue): Piece {
  switch (name) {
    case 'principal':
      return { code: ({ principal }) => principal };
    case 'action':
      return { code: ({ action }) => action };
    case 'resource':
      return { code: ({ resource }) => resource };
    case 'context':
      return { code: ({ context }) => context };
    default:
      throw invalid(`there is no variable ${JSON.stringify(name)}`);
  }
}

/** What is the same for every request is computed once; an error in it is kept for when it is evaluated. */
function fixed(compute: () => Value): Piece {
  try {
    const constant = compute();
    return { code: () => constant, constant };
  } catch (thrown) {
    if (!(thrown instanceof EvaluationError)) throw thrown;
    const { message } = thrown;
    return {
      code: () => {
        throw new EvaluationError(message);
      },
    };
  }
}

/** Evaluates all parts, then combines them. */
function gather(parts: readonly Piece[], combine: (values: readonly Value[]) => Value): Piece {
  const constants = parts.map(({ constant }) => constant);
  if (constants.every((value) => value !== undefined)) return fixed(() => combine(constants));
  const codes = parts.map(({ code }) => code);
  const [first, second] = codes;
  if (codes.length === 1 && first !== undefined) return { code: (situation) => combine([first(situation)]) };
  if (codes.length === 2 && first !== undefined && second !== undefined) {
    return { code: (situation) => combine([first(situation), second(situation)]) };
  }
  return { code: (situation) => combine(codes.map((code) => code(situation))) };
}

/** `&&` stops at the first false, `||` at the first true; what comes after is not evaluated. */
function chain(name: '&&' | '||', parts: readonly Piece[]): Code {
  const codes = parts.map(({ code }) => code);
  const stop = name === '||';
  const [first, second] = codes;
  if (codes.length === 2 && first !== undefined && second !== undefined) {
    return (situation) => (takeBool(first(situation)) === stop ? stop : takeBool(second(situation)));
  }
  return (situation) => {
    for (const code of codes) if (takeBool(code(situation)) === stop) return stop;
    return !stop;
  };
}

function choice(test: Code, then: Code, otherwise: Code): Code {
  return (situation) => (takeBool(test(situation)) ? then(situation) : otherwise(situation));
}

function attribute(object: Code, name: string): Code {
  return (situation) => {
    const value = object(situation);
    const found = fieldsOf(value, situation, true).fields.get(name);
    if (found === undefined) {
      const whose = value === situation.context ? 'context' : describe(value);
      throw new EvaluationError(`${whose} does not have the attribute ${JSON.stringify(name)}`);
    }
    return found;
  };
}

function hasPath(object: Code, path: JsonValue | undefined): Code {
  const names = Array.isArray(path) ? path.map(text) : [text(path)];
  return (situation) => {
    let value = object(situation);
    for (const name of names) {
      const found = fieldsOf(value, situation, false).fields.get(name);
      if (found === undefined) return false;
      value = found;
    }
    return true;
  };
}

/** The attributes of a record or an entity. Only reading one, not asking for it, needs the entity to exist. */
function fieldsOf(value: Value, situation: Situation, mustExist: boolean): CedarRecord {
  if (typeof value === 'object') {
    if (value.kind === 'record') return value;
    if (value.kind === 'entity') {
      const data = value.data() ?? describedAs(value, situation)?.data();
      if (data !== undefined) return data.attrs;
      if (mustExist) throw new EvaluationError(`the entity ${describe(value)} does not exist`);
      return EMPTY_RECORD;
    }
  }
  return typeError('record or entity', value);
}

/** What the request says of an entity that another value names. */
function describedAs(entity: Entity, { described }: Situation): Entity | undefined {
  return described.length === 0
    ? undefined
    : described.find(({ type, id }) => id === entity.id && type === entity.type);
}

function getTag(object: Code, name: Code): Code {
  return (situation) => {
    const entity = takeEntity(object(situation));
    const tag = takeString(name(situation));
    const data = entity.data() ?? describedAs(entity, situation)?.data();
    if (data === undefined) throw new EvaluationError(`the entity ${describe(entity)} does not exist`);
    const found = data.tags.fields.get(tag);
    if (found === undefined) {
      throw new EvaluationError(`${describe(entity)} does not have the tag ${JSON.stringify(tag)}`);
    }
    return found;
  };
}

function hasTag(object: Code, name: Code): Code {
  return (situation) => {
    const entity = takeEntity(object(situation));
    const tag = takeString(name(situation));
    return entity.data()?.tags.fields.has(tag) ?? false;
  };
}

function isType(object: Code, type: string, group: Code | undefined): Code {
  return (situation) => {
    const entity = takeEntity(object(situation));
    if (entity.type !== type) return false;
    return group === undefined || isInAny(entity, group(situation));
  };
}

function describe(value: Value): string {
  return typeof value === 'object' && value.kind === 'entity'
    ? `${value.type}::${JSON.stringify(value.id)}`
    : 'the record';
}

function wrongArguments(name: string, given: number): never {
  throw new EvaluationError(`${name} does not take ${given} arguments`);
}

function patternOf(pieces: JsonValue | undefined): PatternPiece[] {
  if (!Array.isArray(pieces)) throw invalid('a pattern must be a list');
  return pieces.map((piece) =>
    piece === 'Wildcard' ? piece : { Literal: text(isObject(piece) ? piece['Literal'] : undefined) },
  );
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw invalid('a name or type must be a string');
  return value;
}

function invalid(problem: string): PolicyError {
  return new PolicyError('document-invalid', `policy.json: ${problem}`);
}
