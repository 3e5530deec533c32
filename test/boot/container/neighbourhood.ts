import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { project } from '../../../scripts/bundle.ts';
import { until } from '../../agent/until.ts';
import { spawnMortal } from '../mortal.ts';

const HEALTH = 9180;
const COLLECTOR = 9190;

/** What the collector says of its one host. */
export type Host = {
  state: string;
  assurance: string;
  tpmProblems: string[];
  labels: Record<string, string>;
  verdict: { state: string; drift: { path: string; kind: string }[]; reason?: { code: string } };
};

/** What is around a machine: a network of its own with the fleet's collector in it, run by this machine's host. */
export type Neighbourhood = {
  network: string;
  /** The status of the health check; 0 where nobody answers. */
  health: () => Promise<number>;
  host: () => Promise<Host | undefined>;
  stop: () => Promise<void>;
};

/**
 * Makes a network namespace that only has a loopback. The container joins it, so its health port and the collector
 * are reached over that loopback; the collector itself is a process of the host with the host's files.
 */
export async function makeNeighbourhood(place: string): Promise<Neighbourhood> {
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const child of children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  };
  try {
    const doorway = fileURLToPath(new URL('doorway.ts', import.meta.url));
    const script = 'ip link set lo up && exec "$@"';
    const opened = [process.execPath, doorway, place, String(HEALTH), String(COLLECTOR)];
    const holder = spawnMortal('unshare', ['--net', 'sh', '-c', script, 'sh', ...opened]);
    children.push(holder);
    await once(holder.stdout, 'data');
    const network = `/proc/${holder.pid}/ns/net`;
    const flags = ['--listen', `127.0.0.1:${COLLECTOR}`, '--database', join(place, 'fleet.db')];
    const program = [process.execPath, project('dist/sealborn.js'), 'collector', ...flags];
    const collector = spawnMortal('nsenter', [`--net=${network}`, ...program]);
    collector.stdout.resume();
    collector.stderr.resume();
    children.push(collector);
    const door = (port: number): string => join(place, `${port}.sock`);
    await until('the collector answers', async () => (await get(door(COLLECTOR), '/healthz')).status === 200);
    return {
      network,
      health: async () => (await get(door(HEALTH), '/healthz')).status,
      host: async () => {
        const fleet = await get(door(COLLECTOR), '/v1/hosts');
        if (fleet.status !== 200) return undefined;
        const [first] = (JSON.parse(fleet.body) as { hosts: { id: string }[] }).hosts;
        if (first === undefined) return undefined;
        const one = await get(door(COLLECTOR), `/v1/hosts/${first.id}`);
        return one.status === 200 ? (JSON.parse(one.body) as Host) : undefined;
      },
      stop,
    };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

/** One request over a Unix socket; status 0 where no answer comes. */
async function get(socketPath: string, path: string): Promise<{ status: number; body: string }> {
  const { promise, resolve } = Promise.withResolvers<{ status: number; body: string }>();
  const asked = request({ socketPath, path, agent: false, timeout: 5000 }, (answer) => {
    let body = '';
    answer.setEncoding('utf8');
    answer.on('data', (part: string) => (body += part));
    answer.on('error', () => resolve({ status: 0, body: '' }));
    answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
  });
  asked.on('timeout', () => asked.destroy());
  asked.on('error', () => resolve({ status: 0, body: '' }));
  asked.end();
  return promise;
}
