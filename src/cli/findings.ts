import { escapeControls } from '../base/display.ts';
import type { Finding } from '../base/finding.ts';
import { type Style, formatCount } from './terminal.ts';

/** Findings as lines, one or two each; says how many more there are. Paths come escaped. */
export function describeFindings(findings: readonly Finding[], total: number, style: Style): string {
  const width = Math.max(0, ...findings.map(({ kind }) => kind.length));
  const lines = findings.map(({ path, kind, expected, actual }) => {
    const what = [expected === '' ? '' : `expected ${expected}`, actual === '' ? '' : `found ${actual}`]
      .filter((part) => part !== '')
      .join(', ');
    const detail = what === '' ? '' : `\n  ${' '.repeat(width)}  ${style.faint(escapeControls(what))}`;
    return `  ${style.bad(kind.padEnd(width))}  ${escapeControls(path)}${detail}\n`;
  });
  const more = total - findings.length;
  return lines.join('') + (more > 0 ? `  and ${formatCount(more)} more\n` : '');
}
