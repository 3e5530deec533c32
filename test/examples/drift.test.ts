import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { hasProgram } from '../support/has-program.ts';
import type { CloudPlan, CloudRun } from './fake-cloud.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const DRIFT = join(PROJECT, 'packaging/examples/drift');
const PAGE = join(PROJECT, 'docs/integrations/load-balancers.md');
const names = readdirSync(DRIFT);
const units = names.filter((name) => name.endsWith('.service'));

let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'sealborn-drift-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

describe('the units for drift', () => {
  it.skipIf(!hasProgram('systemd-analyze'))('pass systemd-analyze verify without a word', () => {
    for (const name of units) {
      const text = readFileSync(join(DRIFT, name), 'utf8').replace('/usr/lib/sealborn-drift/', `${DRIFT}/`);
      writeFileSync(join(place, name), text);
      expect(text).toContain('\nWantedBy=sealborn-drift.target\n');
    }
    const said = spawnSync(
      'systemd-analyze',
      ['verify', '--man=no', ...units.map((name) => join(place, name))],
      { encoding: 'utf8' },
    );
    expect(`${said.stdout}${said.stderr}`).toBe('');
    expect(units.length).toBeGreaterThanOrEqual(5);
  });
});

describe('mark-boot-bad', () => {
  /** A boot that systemd-bless-boot knows this state of, and that was started from this entry. */
  type Boot = { state: string; entry: string; files: string[]; xbootldr?: boolean };

  /** Runs the script on a made-up firmware, ESP and extended boot partition; gives what is there afterwards. */
  function markBad({ state, entry, files, xbootldr = true }: Boot): {
    status: number | null;
    files: string[];
  } {
    const own = mkdtempSync(join(place, 'boot-'));
    const tool = (name: string, script: string): string => {
      writeFileSync(join(own, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      return join(own, name);
    };
    const bless = tool(
      'systemd-bless-boot',
      `if [ "$1" = status ]; then echo ${state}; else touch "${own}/disk/said-$*"; fi`,
    );
    const boot = xbootldr ? 'xbootldr' : 'esp';
    tool(
      'bootctl',
      `case $1 in --print-boot-path) echo ${own}/disk/${boot} ;; --print-esp-path) echo ${own}/disk/esp ;; esac`,
    );
    // As the kernel shows it: four bytes of attributes, the name in UTF-16, a zero.
    const selected = join(own, 'LoaderEntrySelected');
    writeFileSync(selected, Buffer.concat([Buffer.from([6, 0, 0, 0]), Buffer.from(`${entry}\0`, 'utf16le')]));
    mkdirSync(join(own, 'disk'));
    for (const file of files) {
      mkdirSync(dirname(join(own, 'disk', file)), { recursive: true });
      writeFileSync(join(own, 'disk', file), '');
    }
    const script = readFileSync(join(DRIFT, 'mark-boot-bad'), 'utf8')
      .replace('/usr/lib/systemd/systemd-bless-boot', bless)
      .replace(/\/sys\/firmware\/efi\/efivars\/LoaderEntrySelected-\S+/, selected);
    const env = { PATH: `${own}:${process.env['PATH'] ?? ''}` };
    const { status } = spawnSync('sh', ['-c', script], { env });
    const found = readdirSync(join(own, 'disk'), { recursive: true, withFileTypes: true })
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name).slice(join(own, 'disk/').length));
    return { status, files: found.toSorted() };
  }

  it('leaves a counted boot to systemd-bless-boot', () => {
    for (const state of ['indeterminate', 'good', 'bad']) {
      const files = ['esp/loader/entries/sealed+2-1.conf'];
      const after = markBad({ state, entry: 'sealed+2-1.conf', files });
      expect(after).toEqual({ status: 0, files: [...files, 'said-bad'] });
    }
  });

  it.for([
    ['an entry', 'sealed.conf', 'loader/entries/sealed.conf', 'loader/entries/sealed+0.conf'],
    ['a unified kernel image', 'sealed.efi', 'EFI/Linux/sealed.efi', 'EFI/Linux/sealed+0.efi'],
    [
      'a name with dots',
      'linux-6.1.0-56.conf',
      'loader/entries/linux-6.1.0-56.conf',
      'loader/entries/linux-6.1.0-56+0.conf',
    ],
  ])(
    'takes the tries of %s that was blessed before, on each partition',
    ([, entry = '', before = '', after = '']) => {
      const other = 'esp/loader/entries/other.conf';
      for (const [partition, xbootldr] of [
        ['xbootldr', true],
        ['esp', true],
        ['esp', false],
      ] as const) {
        const marked = markBad({ state: 'clean', entry, files: [`${partition}/${before}`, other], xbootldr });
        expect(marked).toEqual({ status: 0, files: [`${partition}/${after}`, other].toSorted() });
      }
    },
  );

  it.for(['auto-windows', '../esp/x.conf', 'sealed+1.conf', 'absent.conf', ''])(
    'fails and changes nothing where "%s" is no entry that it could mark',
    (entry) => {
      const files = ['esp/loader/entries/sealed.conf', 'esp/x.conf'];
      expect(markBad({ state: 'clean', entry, files })).toEqual({ status: 1, files });
    },
  );
});

const AWS_METADATA = {
  'PUT /latest/api/token': 'a-token',
  'GET /latest/meta-data/placement/region': 'eu-central-1',
  'GET /latest/meta-data/instance-id': 'i-0123456789abcdef0',
  'GET /latest/meta-data/iam/security-credentials/': 'drift',
  'GET /latest/meta-data/iam/security-credentials/drift': JSON.stringify({
    Code: 'Success',
    Type: 'AWS-HMAC',
    AccessKeyId: 'AKIDEXAMPLE',
    SecretAccessKey: 'secret',
    Token: 'session',
    Expiration: '2099-01-01T00:00:00Z',
    LastUpdated: '2026-01-01T00:00:00Z',
  }),
  'POST /': '<SetInstanceHealthResponse/>',
};
const GCP = '/computeMetadata/v1';
const GCP_ACCOUNT = `${GCP}/instance/service-accounts/sa@p1.iam.gserviceaccount.com`;
const GCP_API = '/compute/v1/projects/p1/zones/europe-west3-a';
const GCP_METADATA = {
  [`GET ${GCP}/instance/attributes/created-by`]:
    'projects/123/zones/europe-west3-a/instanceGroupManagers/payments',
  [`GET ${GCP}/instance/name`]: 'payments-x1',
  [`GET ${GCP}/project/numeric-project-id`]: '123',
  [`GET ${GCP}/project/project-id`]: 'p1',
  [`GET ${GCP}/instance/service-accounts/`]: 'default/\nsa@p1.iam.gserviceaccount.com/\n',
  [`GET ${GCP}/instance/service-accounts/default/email`]: 'sa@p1.iam.gserviceaccount.com',
  [`GET ${GCP}/universe/universe-domain`]: 'googleapis.com',
  [`GET ${GCP_ACCOUNT}/`]: JSON.stringify({
    aliases: ['default'],
    email: 'sa@p1.iam.gserviceaccount.com',
    scopes: ['https://www.googleapis.com/auth/cloud-platform'],
  }),
  [`GET ${GCP_ACCOUNT}/token`]: JSON.stringify({ access_token: 't', expires_in: 99, token_type: 'Bearer' }),
  [`POST ${GCP_API}/instanceGroupManagers/payments/recreateInstances`]: JSON.stringify({
    kind: 'compute#operation',
    name: 'op-1',
    status: 'DONE',
    zone: `http://127.0.0.1${GCP_API}`,
    operationType: 'recreate',
    selfLink: `http://127.0.0.1${GCP_API}/operations/op-1`,
    targetLink: `http://127.0.0.1${GCP_API}/instanceGroupManagers/payments`,
  }),
  [`GET ${GCP_API}/instanceGroupManagers/payments`]: JSON.stringify({ name: 'payments' }),
};

/** Whether processes may have a network of their own here. */
function canUnshare(): boolean {
  return (
    process.getuid?.() === 0 &&
    ['curl', 'ip', 'unshare'].every(hasProgram) &&
    spawnSync('unshare', ['--net', '--mount', 'true']).status === 0
  );
}

function inCloud(plan: CloudPlan): CloudRun {
  const program = fileURLToPath(new URL('fake-cloud.ts', import.meta.url));
  const ran = spawnSync('unshare', ['--net', '--mount', process.execPath, program], {
    input: JSON.stringify(plan),
    encoding: 'utf8',
  });
  if (ran.status !== 0) throw new Error(ran.stderr);
  return JSON.parse(ran.stdout) as CloudRun;
}

/** A command in the place of a cloud's own tool, which tells the server what it was called with. */
function toolInPlaceOf(name: string): string {
  const directory = mkdtempSync(join(place, 'bin-'));
  const tool = join(directory, name);
  writeFileSync(
    tool,
    '#!/bin/sh\nprintf "%s\\n" "$@" | curl -fsS --data-binary @- http://127.0.0.1/called\n',
  );
  chmodSync(tool, 0o755);
  return `${directory}:${process.env['PATH'] ?? ''}`;
}

/** What the tool in the place of another was called with, each time. */
function calls(run: CloudRun): string[][] {
  return run.requests.filter(({ path }) => path === '/called').map(({ body }) => body.trimEnd().split('\n'));
}

/** The command lines of the page that begin with a tool's name. */
function commandsOf(tool: string): string[] {
  const blocks = [...readFileSync(PAGE, 'utf8').matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text]) => text);
  return blocks
    .join('')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line.startsWith(`${tool} `));
}

/** Empty answers of AWS to calls: each command of its CLI is named after the call it makes. */
function answersTo(commands: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    commands.map((command) => {
      const verb = command.split(' ')[2] ?? '';
      const action = verb.replaceAll(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
      return [`POST / ${action}`, `<${action}Response><${action}Result/></${action}Response>`];
    }),
  );
}

describe.skipIf(!canUnshare())('what the scripts for drift call', () => {
  const runAws = (answers: Record<string, string>): CloudRun =>
    inCloud({
      command: [join(DRIFT, 'aws-unhealthy')],
      env: { PATH: toolInPlaceOf('aws') },
      answers: { ...answers, 'POST /called': '' },
    });
  const runGcp = (answers: Record<string, string>): CloudRun =>
    inCloud({
      command: [join(DRIFT, 'gcp-recreate')],
      env: { PATH: toolInPlaceOf('gcloud') },
      answers: { ...answers, 'POST /called': '' },
    });

  it('aws-unhealthy: asks the metadata service with a token, and names this instance in its region', () => {
    const ran = runAws(AWS_METADATA);
    expect(ran).toMatchObject({ status: 0, stderr: '' });
    expect(calls(ran)).toEqual([
      [
        'autoscaling',
        'set-instance-health',
        '--region',
        'eu-central-1',
        '--instance-id',
        'i-0123456789abcdef0',
        '--health-status',
        'Unhealthy',
        '--no-should-respect-grace-period',
      ],
    ]);
    const asked = ran.requests.filter(({ path }) => path.startsWith('/latest/meta-data/'));
    expect(asked.map(({ headers }) => headers['x-aws-ec2-metadata-token'])).toEqual(['a-token', 'a-token']);
  });

  it('aws-unhealthy: fails, and calls nothing, where the metadata service does not say all', () => {
    for (const missing of Object.keys(AWS_METADATA).slice(0, 3)) {
      const { [missing as keyof typeof AWS_METADATA]: _, ...rest } = AWS_METADATA;
      const ran = runAws(rest);
      expect(ran.status, missing).not.toBe(0);
      expect(calls(ran), missing).toEqual([]);
    }
  });

  it('gcp-recreate: names this instance in its group, of a zone or of a region', () => {
    for (const [where, flag] of [
      ['zones/europe-west3-a', '--zone=europe-west3-a'],
      ['regions/europe-west3', '--region=europe-west3'],
    ] as const) {
      const ran = runGcp({
        ...GCP_METADATA,
        [`GET ${GCP}/instance/attributes/created-by`]: `projects/123/${where}/instanceGroupManagers/payments`,
      });
      expect(ran).toMatchObject({ status: 0, stderr: '' });
      expect(calls(ran)).toEqual([
        `compute instance-groups managed recreate-instances payments ${flag} --instances=payments-x1 --quiet`.split(
          ' ',
        ),
      ]);
      expect(ran.requests[0]?.headers['metadata-flavor']).toBe('Google');
    }
  });

  it('gcp-recreate: fails, and calls nothing, on an instance that no group made, or without a name', () => {
    const created = `GET ${GCP}/instance/attributes/created-by`;
    const { [created]: _group, ...alone } = GCP_METADATA;
    const { [`GET ${GCP}/instance/name`]: _name, ...nameless } = GCP_METADATA;
    for (const answers of [alone, nameless, { ...GCP_METADATA, [created]: 'projects/123/other/x' }]) {
      const ran = runGcp(answers);
      expect(ran.status).not.toBe(0);
      expect(calls(ran)).toEqual([]);
    }
  });

  it.skipIf(!hasProgram('aws'))('aws-unhealthy, with the real AWS CLI: one signed SetInstanceHealth', () => {
    const ran = inCloud({
      command: [join(DRIFT, 'aws-unhealthy')],
      env: { AWS_ENDPOINT_URL: 'http://127.0.0.1' },
      answers: AWS_METADATA,
    });
    expect(ran).toMatchObject({ status: 0, stderr: '' });
    const sent = ran.requests.filter(({ path }) => path === '/');
    expect(sent.map(({ body }) => Object.fromEntries(new URLSearchParams(body)))).toEqual([
      {
        Action: 'SetInstanceHealth',
        Version: '2011-01-01',
        InstanceId: 'i-0123456789abcdef0',
        HealthStatus: 'Unhealthy',
        ShouldRespectGracePeriod: 'false',
      },
    ]);
    // By the instance's role alone: the credentials are those of the metadata service.
    expect(sent[0]?.headers).toMatchObject({
      authorization: expect.stringContaining('Credential=AKIDEXAMPLE/'),
      'x-amz-security-token': 'session',
    });
  });

  it.skipIf(!hasProgram('gcloud'))('gcp-recreate, with the real gcloud: one recreateInstances', () => {
    const ran = inCloud({
      command: [join(DRIFT, 'gcp-recreate')],
      env: { CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE: 'http://127.0.0.1/compute/v1/' },
      answers: GCP_METADATA,
    });
    expect(ran.status, ran.stderr).toBe(0);
    const sent = ran.requests.filter(({ method }) => method === 'POST');
    expect(sent.map(({ path }) => path)).toEqual([
      `${GCP_API}/instanceGroupManagers/payments/recreateInstances`,
    ]);
    expect(JSON.parse(sent[0]?.body ?? '')).toEqual({
      instances: [`http://127.0.0.1${GCP_API}/instances/payments-x1`],
    });
    expect(sent[0]?.headers['authorization']).toBe('Bearer t');
  });

  it.skipIf(!hasProgram('aws'))(
    'the commands of docs/integrations/load-balancers.md are ones that the AWS CLI takes',
    () => {
      const commands = commandsOf('aws');
      expect(commands).toHaveLength(4);
      const ran = inCloud({
        command: ['sh', '-euc', [...new Set(commands)].join('\n')],
        env: {
          TARGET_GROUP: 'arn:aws:elasticloadbalancing:x:1:targetgroup/a/1',
          GROUP: 'payments',
          AWS_ENDPOINT_URL: 'http://127.0.0.1',
          AWS_DEFAULT_REGION: 'eu-central-1',
        },
        answers: { ...AWS_METADATA, ...answersTo(commands) },
      });
      expect(ran).toMatchObject({ status: 0, stderr: '' });
      const sent = ran.requests
        .filter(({ path }) => path === '/')
        .map(({ body }) => new URLSearchParams(body));
      expect(sent.map((parameters) => parameters.get('Action'))).toEqual([
        'ModifyTargetGroup',
        'ModifyTargetGroupAttributes',
        'UpdateAutoScalingGroup',
      ]);
      expect(Object.fromEntries(sent[0] ?? [])).toMatchObject({
        HealthCheckPath: '/healthz',
        HealthCheckPort: '9180',
        'Matcher.HttpCode': '200',
      });
    },
  );
});
