import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, onTestFinished, test } from 'vitest';

import { progressLine } from '../../src/cli/progress-bar.ts';
import { temporaryDirectory } from '../agent/temporary-directory.ts';
import { until } from '../agent/until.ts';
import { lackingProgram, needs } from '../support/needs.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const SEALBORN = `'${process.execPath}' '${PROJECT}src/main.ts'`;
/** A machine that does much else takes its time to start a program. */
const PATIENCE_MS = 40_000;

const CLEAR = '\r\u001b[K';

describe('progressLine', () => {
  const progress = {
    files: 4567,
    bytes: 783e6,
    totalFiles: 126_199,
    totalBytes: 6.2e9,
    seconds: 7,
  };

  test.each([
    [120, 'verifying  [##......................] 8%  4,567/126,199 files  783 MB  112 MB/s  1:20 left'],
    [80, 'verifying  [#...........] 8%  4,567/126,199 files  783 MB  112 MB/s  1:20 left'],
    [70, 'verifying  8%  4,567/126,199 files  783 MB  112 MB/s  1:20 left'],
    [58, 'verifying  8%  4,567 files  783 MB  112 MB/s  1:20 left'],
    [50, 'verifying  8%  4,567 files  112 MB/s  1:20 left'],
    [39, 'verifying  8%  4,567 files  1:20 left'],
    [29, 'verifying  8%  1:20 left'],
    [20, 'verifying  8%'],
    [5, 'verif'],
  ])('leaves out what matters least at %d columns', (width, line) => {
    expect(progressLine('verifying', progress, width)).toBe(line);
  });

  test('says seconds that are left as whole ones, and nothing of them before they are known', () => {
    const line = (seconds: number, files: number): string =>
      progressLine('measuring', { files, bytes: files, totalFiles: 100, totalBytes: 100, seconds }, 60);
    expect(line(0.4, 50)).toBe('measuring  [######......] 50%  50/100 files  50 B  125 B/s');
    expect(line(5, 90)).toMatch(/ {2}1 s left$/);
    expect(line(5, 100)).toMatch(/ {2}0 s left$/);
    expect(line(6000, 40)).toMatch(/ {2}2:30:00 left$/);
  });

  test('counts entries while a tree is listed, and files where nobody knows how many there are', () => {
    expect(progressLine('measuring', { files: 0, bytes: 0, listed: 12_345, seconds: 1 }, 60)).toBe(
      'measuring  12,345 entries listed',
    );
    expect(progressLine('verifying', { files: 12, bytes: 3400, seconds: 1 }, 60)).toBe(
      'verifying  12 files  3.4 KB',
    );
  });

  test('is never wider than it may be', () => {
    for (let width = 0; width < 120; width += 1) {
      expect(progressLine('verifying', progress, width).length).toBeLessThanOrEqual(width);
    }
  });
});

/** A shell command in a terminal of its own, of util-linux's script: what it draws, and keys to press. */
type InTerminal = {
  child: ChildProcess;
  drawn: () => string;
  press: (keys: string) => void;
  ended: Promise<number>;
};

function inTerminal(command: string, columns: number, cwd: string): InTerminal {
  const child = spawn('script', ['-qec', `stty cols ${columns}; ${command}`, '/dev/null'], {
    cwd,
    env: { ...process.env, TERM: 'xterm', NO_COLOR: '1' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let text = '';
  child.stdout.on('data', (bytes: Buffer) => (text += bytes.toString()));
  const { promise, resolve } = Promise.withResolvers<number>();
  child.once('close', (code) => resolve(code ?? -1));
  return { child, drawn: () => text, press: (keys) => void child.stdin.write(keys), ended: promise };
}

/** The lines that were drawn one over the other. */
const bars = (text: string): string[] =>
  text
    .split('\r')
    .flatMap((part) => (part.endsWith('\u001b[K') ? [part.slice(0, -3)] : []))
    .filter((line) => line !== '');

/** A tree, its manifest, and in it a file that takes as long to read as nobody waits for. */
async function endless(): Promise<string> {
  const place = await temporaryDirectory();
  mkdirSync(join(place, 'tree'));
  writeFileSync(join(place, 'tree/sparse'), '');
  truncateSync(join(place, 'tree/sparse'), 2 ** 42);
  writeFileSync(
    join(place, 'tree.mtree'),
    `. type=dir\n./sparse type=file size=${2 ** 42} sha256=${'0'.repeat(64)}\n`,
  );
  return place;
}

const ENDLESS = `${SEALBORN} verify --mtree tree.mtree --root tree`;

const inRealTerminal = needs(lackingProgram('script', 'bsdutils'), lackingProgram('stty', 'coreutils'));

describe('a command in a real terminal', () => {
  inRealTerminal('draws one line over itself, clears it, and prints the answer', async () => {
    const place = await temporaryDirectory();
    mkdirSync(join(place, 'tree'));
    writeFileSync(join(place, 'tree/a'), 'content');
    writeFileSync(
      join(place, 'tree.mtree'),
      `. type=dir\n./a type=file size=7 md5=9a0364b9e99bb480dd25e1f0284c8555\n`,
    );
    const terminal = inTerminal(`${SEALBORN} verify --mtree tree.mtree --root tree`, 100, place);
    expect(await terminal.ended).toBe(0);
    expect(bars(terminal.drawn()).at(-1)).toMatch(/^verifying {2}\[#{24}\] 100% {2}1\/1 files {2}7 B {2}/);
    expect(terminal.drawn().split(CLEAR).at(-1)).toMatch(/^manifest .*\r\n(.*\r\n)*agrees .*\r\n$/);
  });

  inRealTerminal('fits 40 columns, and follows a terminal that changes its width', async () => {
    const place = await endless();
    const terminal = inTerminal(`tty; ${ENDLESS}`, 40, place);
    const device = await until(
      'the terminal names itself',
      () => /\/dev\/pts\/\d+/.exec(terminal.drawn())?.[0],
    );
    await until('it is drawn', () => bars(terminal.drawn()).length > 2, PATIENCE_MS);
    expect(Math.max(...bars(terminal.drawn()).map((line) => line.length))).toBeLessThanOrEqual(39);
    execFileSync('stty', ['-F', device, 'cols', '100']);
    await until('it is drawn wider', () => bars(terminal.drawn()).some((line) => line.length > 60));
    execFileSync('stty', ['-F', device, 'cols', '30']);
    await until('it is drawn narrower', () => {
      const last = bars(terminal.drawn()).slice(-3);
      return last.length === 3 && last.every((line) => line.length <= 29);
    });
  });

  inRealTerminal.each([
    ['Ctrl-C', (terminal: InTerminal): void => terminal.press('\u0003'), 130],
    ['SIGTERM', (_: InTerminal, pid: number): void => void process.kill(pid, 'SIGTERM'), 143],
  ])('leaves a clean line behind on %s', async (_, end, code) => {
    const terminal = inTerminal(`echo pid $$; exec ${ENDLESS}`, 80, await endless());
    await until('it is drawn', () => bars(terminal.drawn()).length > 2, PATIENCE_MS);
    end(terminal, Number(/pid (\d+)/.exec(terminal.drawn())?.[1]));
    expect(await terminal.ended).toBe(code);
    // The terminal itself echoes the key; the line is cleared after it.
    expect(terminal.drawn().endsWith(CLEAR)).toBe(true);
  });

  inRealTerminal('draws nothing where stderr is no terminal, or one that is dumb', async () => {
    const place = await endless();
    writeFileSync(join(place, 'small.mtree'), '. type=dir\n./sparse type=file\n');
    const verify = `${SEALBORN} verify --mtree small.mtree --root tree`;
    const terminal = inTerminal(`${verify} 2>said && TERM=dumb ${verify}`, 80, place);
    expect(await terminal.ended).toBe(0);
    expect(readFileSync(join(place, 'said'), 'utf8')).toBe('');
    expect(terminal.drawn()).not.toContain('\u001b');
    expect(terminal.drawn().match(/agrees/g)).toHaveLength(2);
  });
});
