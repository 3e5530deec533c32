/** One policy of a file as it is written, with its semicolon. */
export type PolicySource = {
  text: string;
  /** Where it begins: UTF-16 units from the start of the file. */
  start: number;
  /** The line of its first word, from 1. */
  line: number;
  /** Whether it has slots (`?principal`, `?resource`), and so is a template. */
  isTemplate: boolean;
  /** Brackets inside each other. */
  depth: number;
};

const TOKEN = /\/\/[^\n\r]*|"(?:[^"\\]|\\[\s\S])*"|\s+|[;()[\]{}]|\?[A-Za-z_]+|[^\s;()[\]{}"/?]+|[\s\S]/gy;

/**
 * Splits a Cedar file into its policies. In Cedar's grammar a semicolon ends a policy and stands nowhere else,
 * but in strings and comments, which are skipped as Cedar's lexer does. What is between two semicolons is
 * handed on as it is: whether it is a policy, Cedar's own parser says.
 */
export function splitPolicies(text: string): PolicySource[] {
  const found: PolicySource[] = [];
  let start = -1;
  let end = 0;
  let isTemplate = false;
  let open = 0;
  let depth = 0;
  const take = (): void => {
    if (start >= 0) {
      found.push({ text: text.slice(start, end), start, line: lineAt(text, start), isTemplate, depth });
    }
    [start, isTemplate, open, depth] = [-1, false, 0, 0];
  };
  for (const match of text.matchAll(TOKEN)) {
    const [token] = match;
    if (token.startsWith('//') || /^\s/.test(token)) continue;
    // A semicolon with no policy before it is kept, so that the parser refuses it where it stands.
    if (start < 0) start = match.index;
    end = match.index + token.length;
    if (token === ';') take();
    else if (token.startsWith('?')) isTemplate = true;
    else if (/^[([{]/.test(token)) depth = Math.max(depth, (open += 1));
    else if (/^[)\]}]/.test(token)) open -= 1;
  }
  take();
  return found;
}

/** The line, from 1, of a place in a text. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line += 1;
  return line;
}

/** The column, from 1, of a place in a text. */
export function columnAt(text: string, offset: number): number {
  return offset === 0 ? 1 : offset - text.lastIndexOf('\n', offset - 1);
}
