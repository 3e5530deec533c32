/** One command of a script and what it must do. */
export type Step = { line: number; command: string; stdout: string[]; stderr: string[]; exitCode: number };

/** Reads a script as test/cli/README.md describes it. */
export function parseScript(text: string): Step[] {
  const steps: Step[] = [];
  text.split('\n').forEach((line, index) => {
    const step = steps.at(-1);
    if (line === '' || line.startsWith('#')) return;
    if (line.startsWith('$ ')) {
      steps.push({ line: index + 1, command: line.slice(2), stdout: [], stderr: [], exitCode: 0 });
    } else if (step === undefined) throw new Error(`line ${index + 1}: no command before it`);
    else if (line.startsWith('> ') || line === '>') step.command += `\n${line.slice(2)}`;
    else if (line.startsWith('  ')) step.stdout.push(line.slice(2));
    else if (line.startsWith('! ')) step.stderr.push(line.slice(2));
    else if (/^\? \d+$/.test(line)) step.exitCode = Number(line.slice(2));
    else throw new Error(`line ${index + 1}: not a line of a script: ${line}`);
  });
  return steps;
}

const PLACEHOLDERS: Readonly<Record<string, string>> = {
  '<hex>': '[0-9a-f]{8,64}',
  '<number>': '[0-9][0-9,.]*',
  '<time>': '\\d{4}-\\d\\d-\\d\\dT[0-9:.]+Z',
  '<word>': '\\S+',
  '<any>': '.*',
};

/** The text as compared: what does not fit its pattern stays as it was printed, so that a difference shows. */
export function alignWith(printed: string, expected: readonly string[]): string[] {
  const lines = printed === '' ? [] : printed.replace(/\n$/, '').split('\n');
  const rest = expected.indexOf('<rest>');
  const kept = rest < 0 ? lines : lines.slice(0, rest);
  const aligned = kept.map((line, index) => {
    const pattern = expected[index];
    return pattern !== undefined && patternOf(pattern).test(line) ? pattern : line;
  });
  return rest < 0 ? aligned : [...aligned, '<rest>', ...expected.slice(rest + 1)];
}

function patternOf(expected: string): RegExp {
  const parts = expected.split(/(<hex>|<number>|<time>|<word>|<any>)/);
  const source = parts.map((part) => PLACEHOLDERS[part] ?? part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${source.join('')}$`);
}
