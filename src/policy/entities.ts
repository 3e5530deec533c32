import { BaseError } from '../base/errors.ts';
import type { JsonObject } from '../base/json.ts';
import { type Reader, isObject, list, mapped, optional, record, text } from '../base/shape.ts';
import { readYaml } from '../base/yaml.ts';
import type { BakedEntity, EntityUid } from './document.ts';
import { PolicyError } from './policy-error.ts';

/** An entity as a file of the policy repository has it, with its place. */
export type SourcedEntity = { entity: BakedEntity; file: string; line: number };

/** `Type::"id"` as Cedar writes it, or `Type::id` where the id is one plain word. */
export const entityUid: Reader<EntityUid> = mapped(text({ max: 65_536 }), (word) => {
  const quoted = /^((?:[A-Za-z_]\w*::)*[A-Za-z_]\w*)::(".*")$/s.exec(word);
  if (quoted?.[1] !== undefined && quoted[2] !== undefined) {
    const id: unknown = JSON.parse(quoted[2]);
    if (typeof id === 'string') return { type: quoted[1], id };
  }
  const plain = /^((?:[A-Za-z_]\w*::)*[A-Za-z_]\w*)::([^\s:"]+)$/.exec(word);
  if (plain?.[1] === undefined || plain[2] === undefined) {
    throw new Error('must be an entity such as User::ana or User::"ana maria"');
  }
  return { type: plain[1], id: plain[2] };
});

const object: Reader<JsonObject> = (value, path, problems) => {
  if (isObject(value)) return value as JsonObject;
  problems.push({ path, message: 'must be a mapping' });
  return {};
};

const fileShape = record({
  entities: list(
    record({
      uid: entityUid,
      parents: optional(list(entityUid, { max: 10_000 })),
      attrs: optional(object),
      tags: optional(object),
    }),
    { max: 1_000_000 },
  ),
});

/**
 * Reads a file of `entities/`: a list `entities`, each with `uid`, and optionally `parents`, `attrs` and
 * `tags`. Values are Cedar's JSON: `{__entity: {type, id}}` for an entity, `{__extn: {fn, arg}}` for an
 * extension value.
 * @throws PolicyError `entities-invalid` with file and line
 */
export function readEntities(bytes: Uint8Array, file: string): SourcedEntity[] {
  try {
    const { value, yaml } = readYaml(bytes, file, fileShape);
    return value.entities.map((entity, index) => ({
      entity: {
        uid: entity.uid,
        parents: entity.parents ?? [],
        attrs: entity.attrs ?? {},
        ...(entity.tags === undefined ? {} : { tags: entity.tags }),
      },
      file,
      line: yaml.lineOf(['entities', index]),
    }));
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new PolicyError('entities-invalid', cause.message, {
      cause,
      hint: 'Each entity has a uid such as Role::"auditor", and may have parents, attrs and tags.',
    });
  }
}
