import { type Reader, mapped, text } from './shape.ts';

/** An entity's name in Cedar. */
export type EntityUid = { type: string; id: string };

/** `Type::"id"` as Cedar writes it, or `Type::id` where the id is one plain word; undefined for other text. */
export function parseEntityUid(word: string): EntityUid | undefined {
  const match = /^((?:[A-Za-z_]\w*::)*[A-Za-z_]\w*)::(?:(".*")|([^\s:"]+))$/s.exec(word);
  const [, type, quoted, plain] = match ?? [];
  if (type === undefined) return undefined;
  if (plain !== undefined) return { type, id: plain };
  try {
    const id: unknown = JSON.parse(quoted ?? '');
    return typeof id === 'string' ? { type, id } : undefined;
  } catch {
    return undefined;
  }
}

/** An entity's name as Cedar writes it. */
export function formatUid({ type, id }: EntityUid): string {
  return `${type}::${JSON.stringify(id)}`;
}

/** Reads an entity's name: see `parseEntityUid`. */
export const entityUid: Reader<EntityUid> = mapped(text({ max: 65_536 }), (word) => {
  const uid = parseEntityUid(word);
  if (uid === undefined) throw new Error('must be an entity such as User::ana or User::"ana maria"');
  return uid;
});
