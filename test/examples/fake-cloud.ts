/**
 * Runs one script on a machine that seems to be in a cloud: in a network of its own, with a metadata service at the
 * address that clouds have it at, and answers for the cloud's API. Started by `unshare --net --mount`.
 *
 * From standard input: `{ command, env, answers }`, where an answer stands under `METHOD /path`, or with a space and
 * the `Action` of an AWS call behind it. To standard output: `{ status, stderr, requests }`.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

export type CloudPlan = { command: string[]; env: Record<string, string>; answers: Record<string, string> };
export type CloudRequest = { method: string; path: string; headers: Record<string, unknown>; body: string };
export type CloudRun = { status: number | null; stderr: string; requests: CloudRequest[] };

const METADATA = '169.254.169.254';

const { command, env, answers } = JSON.parse(readFileSync(0, 'utf8')) as CloudPlan;
execFileSync('ip', ['link', 'set', 'lo', 'up']);
execFileSync('ip', ['address', 'add', `${METADATA}/32`, 'dev', 'lo']);
const directory = mkdtempSync(join(tmpdir(), 'sealborn-cloud-'));
try {
  const hosts = join(directory, 'hosts');
  writeFileSync(hosts, `127.0.0.1 localhost\n${METADATA} metadata.google.internal metadata\n`);
  execFileSync('mount', ['--bind', hosts, '/etc/hosts']);
  process.stdout.write(JSON.stringify(await run()));
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function run(): Promise<CloudRun> {
  const requests: CloudRequest[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const [path = ''] = (request.url ?? '').split('?');
      const { method = '', headers } = request;
      requests.push({ method, path, headers: { ...headers }, body });
      const action = new URLSearchParams(body).get('Action') ?? '';
      const answer = answers[`${method} ${path} ${action}`] ?? answers[`${method} ${path}`];
      response.writeHead(answer === undefined ? 404 : 200, {
        'metadata-flavor': 'Google',
        'x-aws-ec2-metadata-token-ttl-seconds': '60',
        'content-type': answer?.startsWith('{') === true ? 'application/json' : 'text/plain',
      });
      response.end(answer ?? 'not found');
    });
  }).listen(80, '0.0.0.0');
  await once(server, 'listening');
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: directory, CLOUDSDK_CONFIG: join(directory, 'gcloud'), ...env },
  });
  const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  server.closeAllConnections();
  server.close();
  return { status: status as number | null, stderr, requests };
}
