import { escapeText } from '../../base/display.ts';

declare const htmlBrand: unique symbol;

/** Text that is HTML already. Made only by `html`, which escapes all that is put in. */
export type Html = { readonly text: string; readonly [htmlBrand]: true };

type Piece = Html | string | number | false | null | undefined | readonly Piece[];

/**
 * A template of HTML. What is put in is escaped, for text and for attributes in double quotes; control
 * characters and bidirectional overrides become visible. `Html` goes in as it is; lists are joined; `false`,
 * `null` and `undefined` are nothing.
 */
export function html(strings: TemplateStringsArray, ...pieces: readonly Piece[]): Html {
  let text = strings[0] ?? '';
  pieces.forEach((piece, index) => {
    text += render(piece) + (strings[index + 1] ?? '');
  });
  return { text } as Html;
}

/** HTML that this program holds as a constant, such as its style sheet. Never anything that came from outside. */
export function constantHtml(text: string): Html {
  return { text } as Html;
}

function render(piece: Piece): string {
  if (piece === false || piece === null || piece === undefined) return '';
  if (typeof piece === 'number') return String(piece);
  if (typeof piece === 'string') return escapeHtml(piece);
  return 'text' in piece ? piece.text : piece.map(render).join('');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  // Backslashes stay single: a finding's path is escaped for display already, and twice could not be read.
  const visible = text.split('\\').map(escapeText).join('\\');
  return visible.replaceAll(/[&<>"']/g, (c) => ENTITIES[c] ?? '');
}
