import { type Flag, type Verb, allVerbs } from './verbs.ts';

/** Completions of a program for bash, zsh and fish. */
export function completionsOf(program: Verb): { bash: string; zsh: string; fish: string } {
  return { bash: bash(program), zsh: zsh(program), fish: fish(program) };
}

const nameOf = (verb: Verb): string => verb.path.at(-1) ?? '';
/** A verb by the words that lead to it: `log verify`; the program itself is the empty text. */
const wordsOf = (verb: Verb): string => verb.path.slice(1).join(' ');
const functionOf = (program: Verb): string => `_${nameOf(program).replaceAll('-', '_')}`;
const single = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Which verb a command line is at: told by its words, flags and their values left out. */
function walk(program: Verb, word: string): string {
  const paths = allVerbs(program)
    .map((verb) => wordsOf(verb))
    .filter((words) => words !== '');
  return [
    `    case "\${at:+$at }${word}" in`,
    `      ${paths.map((words) => single(words)).join('|')}) at="\${at:+$at }${word}" ;;`,
    '    esac',
  ].join('\n');
}

function bash(program: Verb): string {
  const name = nameOf(program);
  const cases = allVerbs(program).map((verb) => {
    const words = [...verb.verbs.map(nameOf), ...verb.flags.map(({ long }) => long)].join(' ');
    return `    ${single(wordsOf(verb))}) words=${single(words)} ;;`;
  });
  const values = (wanted: (flag: Flag) => boolean): string =>
    [
      ...new Set(
        allVerbs(program).flatMap(({ flags }) =>
          flags.filter((flag) => wanted(flag)).map(({ long }) => long),
        ),
      ),
    ].join('|') || '--';
  return `# bash completion of ${name}
${functionOf(program)}() {
  local at='' words='' i current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]}
  for ((i = 1; i < COMP_CWORD; i++)); do
${walk(program, '${COMP_WORDS[i]}')}
  done
  case "$at" in
${cases.join('\n')}
  esac
  case "$before" in
    ${values(({ takesPath }) => takesPath)}) words='' ;;
    ${values(({ takesPath, takesValue }) => takesValue && !takesPath)}) return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [ \${#COMPREPLY[@]} -eq 0 ]; then compopt -o default; fi
}
complete -F ${functionOf(program)} ${name}
`;
}

function zsh(program: Verb): string {
  const name = nameOf(program);
  // In a description for _arguments, a colon and brackets have a meaning.
  const plain = (text: string): string => text.replaceAll(/[[\]:]/g, ' ');
  const cases = allVerbs(program).map((verb) => {
    const flags = verb.flags.map((flag) => {
      const value = flag.takesPath ? ':file:_files' : flag.takesValue ? ':value: ' : '';
      return single(`${flag.long}[${plain(flag.words)}]${value}`);
    });
    const verbs = verb.verbs.map((sub) => single(`${nameOf(sub)}:${plain(sub.summary)}`));
    return verb.verbs.length > 0
      ? `    ${single(wordsOf(verb))})\n      verbs=(${verbs.join(' ')})\n      _describe verb verbs\n      _arguments ${flags.join(' ')} ;;`
      : `    ${single(wordsOf(verb))}) _arguments ${flags.join(' ')} '*:file:_files' ;;`;
  });
  return `#compdef ${name}
${functionOf(program)}() {
  local at='' word
  local -a verbs
  for word in \${words[2,CURRENT-1]}; do
${walk(program, '$word')}
  done
  case "$at" in
${cases.join('\n')}
  esac
}
${functionOf(program)} "$@"
`;
}

function fish(program: Verb): string {
  const name = nameOf(program);
  const lines = [`# fish completion of ${name}`];
  for (const verb of allVerbs(program)) {
    const seen = verb.path.slice(1).map((word) => `__fish_seen_subcommand_from ${word}`);
    const below = verb.verbs.map(nameOf);
    const none = below.length > 0 ? [`not __fish_seen_subcommand_from ${below.join(' ')}`] : [];
    const condition = [...seen, ...none].join('; and ');
    const when = condition === '' ? '' : ` -n ${single(condition)}`;
    for (const sub of verb.verbs) {
      lines.push(`complete -c ${name} -f${when} -a ${nameOf(sub)} -d ${single(sub.summary)}`);
    }
    for (const flag of verb.flags) {
      const value = flag.takesPath ? ' -r -F' : flag.takesValue ? ' -x' : '';
      lines.push(
        `complete -c ${name}${when} -l ${flag.long.replace(/^--/, '')}${value} -d ${single(flag.words)}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}
