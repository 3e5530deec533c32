import { entityUid } from '../base/entity-uid.ts';
import { BaseError } from '../base/errors.ts';
import { emptyObject } from '../base/json.ts';
import { type Reader, isObject, jsonObject, list, optional, record, text } from '../base/shape.ts';
import { readYaml } from '../base/yaml.ts';
import type { EntityUid } from './document.ts';
import type { BakedEntity } from './entity-lines.ts';
import { PolicyError } from './policy-error.ts';

/** An entity as a file of the policy repository has it, with its place. */
export type SourcedEntity = { entity: BakedEntity; file: string; line: number };
/** A link of a policy template: the policy `id` is `template` with its slots filled. */
export type SourcedLink = { link: TemplateLink; file: string; line: number };
export type TemplateLink = {
  id: string;
  template: string;
  values: { principal?: EntityUid; resource?: EntityUid };
};
/** What a file of `entities/` holds. */
export type EntitySource = SourcedEntity | SourcedLink;

const writtenUid: Reader<EntityUid> = (value, path, problems) =>
  isObject(value)
    ? record({ type: text({ max: 1024 }), id: text({ min: 0, max: 65_536 }) })(value, path, problems)
    : entityUid(value, path, problems);

const object = jsonObject();

const fileShape = record({
  entities: optional(
    list(
      record({
        uid: writtenUid,
        parents: optional(list(writtenUid, { max: 10_000 })),
        attrs: optional(object),
        tags: optional(object),
      }),
      { max: 1_000_000 },
    ),
  ),
  links: optional(
    list(
      record({
        id: text({ max: 1024 }),
        template: text({ max: 1024 }),
        values: record({ principal: optional(writtenUid), resource: optional(writtenUid) }),
      }),
      { max: 100_000 },
    ),
  ),
});

/**
 * Reads a file of `entities/`: a list `entities`, each with `uid`, and optionally `parents`, `attrs` and
 * `tags`; and a list `links` of policy templates. Values are Cedar's JSON; where the schema expects an entity
 * or an extension value, `User::"ana"` and `"10.0.0.0/8"` will do.
 * @throws PolicyError `entities-invalid` with file and line
 */
export function readEntities(bytes: Uint8Array, file: string): EntitySource[] {
  try {
    const { value, yaml } = readYaml(bytes, file, fileShape);
    const entities = (value.entities ?? []).map(({ uid, parents, attrs, tags }, index): SourcedEntity => {
      const entity = { uid, parents: parents ?? [], attrs: attrs ?? emptyObject() };
      return {
        entity: tags === undefined ? entity : { ...entity, tags },
        file,
        line: yaml.lineOf(['entities', index]),
      };
    });
    const links = (value.links ?? []).map((link, index) => ({
      link,
      file,
      line: yaml.lineOf(['links', index]),
    }));
    return [...entities, ...links];
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new PolicyError('entities-invalid', cause.message, {
      cause,
      hint: 'Each entity has a uid such as Role::"auditor", and may have parents, attrs and tags.',
    });
  }
}
