import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { formatMessage } from '../../src/agent/channel-message.ts';
import { createMeasurerCheck } from '../../src/agent/measurer-peer.ts';
import { startState } from '../../src/agent/state.ts';
import { followVerdict } from '../../src/agent/verdict-follower.ts';
import { publishVerdict, verdictSocketPath } from '../../src/agent/measure/verdict-publisher.ts';
import type { Verdict } from '../../src/attestation/verdict.ts';
import { temporaryDirectory } from './temporary-directory.ts';
import { until } from './until.ts';

const NOBODY = 65_534;
const trusted: Verdict = { ...startState('2026-11-23T12:00:00.000Z').verdict, state: 'trusted' };
const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write('skipped: a foreign measuring half needs root\n');

/** What the serving half sees first, where only the measurer of this passwd(5) may hold verdict.sock. */
async function firstView(directory: string, passwd: string): Promise<string> {
  await mkdir(join(directory, 'etc'));
  await writeFile(join(directory, 'etc/passwd'), passwd);
  const follower = followVerdict({
    path: verdictSocketPath(directory),
    onChange: () => undefined,
    isMeasurer: await createMeasurerCheck(join(directory, 'etc')),
  });
  onTestFinished(() => follower.close());
  return until('a view', () => {
    const view = follower.view();
    if (view.live) return view.verdict.state;
    return view.reason.code === 'measurer-unreachable' ? undefined : view.reason.code;
  });
}

/** A process of another user that says on verdict.sock that the machine is trusted. */
async function foreignMeasurer(directory: string): Promise<void> {
  await chmod(directory, 0o777);
  const path = JSON.stringify(verdictSocketPath(directory));
  const line = JSON.stringify(formatMessage({ type: 'verdict', verdict: trusted }));
  const child = spawn(
    process.execPath,
    [
      '-e',
      `require('node:net').createServer((s) => s.on('error', () => {}).write(${line})).listen(${path}, () => console.log('up'))`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], uid: NOBODY, gid: NOBODY },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
}

describe('createMeasurerCheck', () => {
  it('takes the word of a process of its own user', async () => {
    const directory = await temporaryDirectory();
    const publisher = await publishVerdict(directory, trusted);
    onTestFinished(() => publisher.close());
    expect(await firstView(directory, '')).toBe('trusted');
  });

  it.skipIf(!isRoot)('takes no word of another user, and that of the user sealborn-measure', async () => {
    const foreign = await temporaryDirectory();
    await foreignMeasurer(foreign);
    expect(await firstView(foreign, 'nobody:x:65534:65534::/:/bin/false\n')).toBe('measurer-foreign');
    const right = await temporaryDirectory();
    await foreignMeasurer(right);
    expect(await firstView(right, 'sealborn-measure:x:65534:65534::/:/bin/false\n')).toBe('trusted');
  });
});
