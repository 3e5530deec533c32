import type { EntityUid } from './document.ts';

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
