import { VERSION } from '../../src/base/version.ts';
import { type Verb, allVerbs } from './verbs.ts';

/**
 * The manual pages of a program (man(7)): one for it and one for each verb, by file name.
 * @param date of the pages, `2026-11-23`
 */
export function manualOf(program: Verb, date: string): Map<string, string> {
  return new Map(
    allVerbs(program).map((verb) => [`${verb.path.join('-')}.1`, page(verb, program, date)] as const),
  );
}

function page(verb: Verb, program: Verb, date: string): string {
  const name = verb.path.join('-');
  const lines = [
    `.TH ${quoted(name.toUpperCase())} 1 "${date}" ${quoted(`sealborn ${VERSION}`)} "sealborn"`,
    '.SH NAME',
    `${text(name)} \\- ${text(verb === program ? 'prove that nothing changed, and answer who may do what' : verb.summary)}`,
    '.SH SYNOPSIS',
    `.B ${text(verb.path.join(' '))}`,
    text(verb.usage.slice(verb.path.join(' ').length + 1)),
    '.SH DESCRIPTION',
    text(verb.description),
  ];
  if (verb.verbs.length > 0) {
    lines.push('.SH COMMANDS');
    for (const sub of verb.verbs) lines.push('.TP', `.BR ${text(sub.path.join('-'))} (1)`, text(sub.summary));
  }
  if (verb.arguments.length > 0) {
    lines.push('.SH ARGUMENTS');
    for (const one of verb.arguments) lines.push('.TP', `.I ${text(one.name)}`, text(one.words));
  }
  lines.push('.SH OPTIONS');
  for (const flag of verb.flags) lines.push('.TP', `.B ${text(flag.flags)}`, text(flag.words));
  lines.push(...after(verb.after));
  const others = allVerbs(program).filter((other) => other !== verb);
  if (others.length > 0) {
    lines.push('.SH SEE ALSO');
    lines.push(others.map(({ path }) => `.BR ${text(path.join('-'))} (1)`).join(',\n'));
  }
  return `${lines.join('\n')}\n`;
}

/** `Examples:` and the like become sections, their indented lines stand as they are. */
function after(words: string): string[] {
  const lines: string[] = [];
  let isOpen = false;
  const close = (): void => {
    if (isOpen) lines.push('.fi', '.RE');
    isOpen = false;
  };
  for (const line of words.split('\n')) {
    const heading = /^(\S.*):(?: (.*))?$/.exec(line);
    if (heading !== null) {
      close();
      lines.push(`.SH ${quoted((heading[1] ?? '').toUpperCase())}`);
      if (heading[2] !== undefined) lines.push(text(heading[2]));
    } else if (line.trim() !== '') {
      if (!isOpen) lines.push('.RS 4', '.nf');
      isOpen = true;
      lines.push(text(line.replace(/^ {2}/, '')));
    }
  }
  close();
  return lines;
}

/** Text that troff takes as it stands: no escape, no request at the start of a line, hyphens that can be copied. */
function text(words: string): string {
  const escaped = words.replaceAll('\\', '\\e').replaceAll('-', '\\-');
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}

function quoted(words: string): string {
  return `"${text(words).replaceAll('"', '\\(dq')}"`;
}
