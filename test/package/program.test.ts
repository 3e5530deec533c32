import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { VERSION } from '../../src/base/version.ts';
import { ask, sealMachine, untilState } from '../agent/sealed-machine.ts';
import { type BuiltProgram, buildHostProgram, canBuild } from './built-program.ts';

describe.skipIf(!canBuild())('the single executable', () => {
  let built: BuiltProgram;
  beforeAll(async () => {
    built = await buildHostProgram();
  });
  afterAll(() => built?.remove());

  const run = (args: string[], env: NodeJS.ProcessEnv = {}, cwd = '/'): SpawnSyncReturns<string> =>
    spawnSync(built.program, args, { encoding: 'utf8', env, cwd });

  it('holds the agent and nothing of the pipeline, the collector or its own tests', () => {
    const { inside } = built;
    expect(inside).toContain('src/agent/measure/measurer.ts');
    expect(inside).toContain('src/host/threads/hash-worker.ts');
    expect(inside).toContain('src/host/kernel/koffi-beside-program.ts');
    const foreign = inside.filter(
      (file) =>
        /^(?:src\/collector|test|bench|scripts)\//.test(file) ||
        /node_modules\/(?:@cedar-policy|hono|@hono|koffi)\//.test(file) ||
        (file.startsWith('src/release/') &&
          !/(?:verify-release|verify-mtree|inspect-bundle|release-error)\.ts$/.test(file)),
    );
    expect(foreign).toEqual([]);
    expect(inside).not.toContain('src/policy/cedar-wasm.ts');
    expect(inside).not.toContain('src/bundle/produce.ts');
  });

  it('says its version, also when called by a link, and refuses the verbs of the pipeline', () => {
    expect(run(['--version'])).toMatchObject({ stdout: `${VERSION}\n`, stderr: '', status: 0 });
    const link = join(built.directory, 'link');
    symlinkSync(built.program, link);
    expect(spawnSync(link, ['--version'], { encoding: 'utf8', env: {} }).stdout).toBe(`${VERSION}\n`);
    expect(run(['sign', 'bundle'])).toMatchObject({ status: 64 });
  });

  it('is deaf to NODE_OPTIONS and to flags of Node (attacks, row 42)', () => {
    const evil = join(built.directory, 'evil.cjs');
    const sign = join(built.directory, 'evil-was-here');
    writeFileSync(evil, `require('node:fs').writeFileSync(${JSON.stringify(sign)}, '')`);
    for (const env of [
      { NODE_OPTIONS: `--require=${evil}` },
      { NODE_OPTIONS: `--import=${evil}` },
      { NODE_PATH: built.directory },
    ]) {
      expect(run(['--version'], env), JSON.stringify(env)).toMatchObject({
        stdout: `${VERSION}\n`,
        status: 0,
      });
    }
    // This one Node refuses in every executable, with its own code 9.
    expect(run(['--version'], { NODE_REPL_EXTERNAL_MODULE: evil }).status).not.toBe(0);
    for (const flag of [`--require=${evil}`, '--inspect-brk', '--eval=1', '--node-snapshot']) {
      expect(run([flag, 'status']), flag).toMatchObject({ status: 64 });
    }
    expect(existsSync(sign)).toBe(false);
  });

  it.for(['NODE_OPTIONS', 'LD_PRELOAD', 'LD_AUDIT', 'OPENSSL_CONF', 'GLIBC_TUNABLES', 'SSLKEYLOGFILE'])(
    'does not start a half with %s set (attacks, row 42)',
    (name) => {
      for (const verb of ['measure', 'serve']) {
        const said = run([verb, '--config', '/nowhere.yaml'], { [name]: '/nowhere/x' });
        expect(said).toMatchObject({ status: 2 });
        expect(said.stderr).toContain(`the environment sets ${name}`);
      }
    },
  );

  it("takes koffi's native part from beside itself alone, and fails closed where it is not there", async () => {
    const machine = await sealMachine();
    const elsewhere = join(machine.directory, 'elsewhere');
    mkdirSync(elsewhere);
    copyFileSync(built.program, join(elsewhere, 'sealborn'));
    copyFileSync(join(built.directory, 'lib/koffi.node'), join(machine.directory, 'koffi.node'));
    const verify = ['verify', machine.bundle, '--trust', machine.trust, '--root', machine.root];
    const said = spawnSync(join(elsewhere, 'sealborn'), verify, {
      encoding: 'utf8',
      env: { NODE_PATH: machine.directory, LD_LIBRARY_PATH: machine.directory },
      cwd: machine.directory,
    });
    expect(said.status).not.toBe(0);
    expect(said.stderr).toContain(join(elsewhere, 'koffi.node'));
    expect(run(verify)).toMatchObject({ status: 0 });
  });

  it('compares a tree with a manifest of another program, in threads that are inside', () => {
    const tree = join(built.directory, 'tree');
    mkdirSync(tree);
    writeFileSync(join(tree, 'a'), 'content');
    const manifest = join(built.directory, 'tree.mtree');
    writeFileSync(manifest, '. type=dir\n./a type=file md5=9a0364b9e99bb480dd25e1f0284c8555\n');
    const verify = ['verify', '--mtree', manifest, '--root', tree];
    expect(run(verify)).toMatchObject({ stderr: '', status: 0 });
    writeFileSync(join(tree, 'a'), 'Content');
    expect(run(verify)).toMatchObject({ status: 1 });
  });

  it('runs both halves from one file, hashing in threads, and sees drift', async () => {
    const machine = await sealMachine();
    const config = await machine.settingsFile();
    const child = spawn(built.program, ['run', '--config', config], { stdio: 'ignore', env: {} });
    const ended = once(child, 'exit');
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    const socket = join(machine.settings().runDirectory, 'decide.sock');
    await untilState(socket, 'trusted', 30_000);
    expect(await ask(socket)).toMatchObject({ decision: true });
    expect(run(['status', '--socket', socket])).toMatchObject({ status: 0 });
    await machine.tamper();
    await untilState(socket, 'drifted', 30_000);
    expect(await ask(socket)).toMatchObject({ decision: false });
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});
