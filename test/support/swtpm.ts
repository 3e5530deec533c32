import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why tests with a software TPM can't run here; undefined where they can. */
export const NO_SWTPM: string | undefined = [
  '/usr/bin/swtpm',
  '/usr/bin/swtpm_localca',
  '/usr/bin/tpm2_quote',
].every((path) => existsSync(path))
  ? undefined
  : 'swtpm, swtpm-tools, gnutls-bin, tpm2-tools and libtss2-tcti-swtpm0 are not all installed';

export type SoftwareTpm = {
  tcti: string;
  /** As a machine that is powered off and on: the PCRs begin at zero. */
  reset: () => void;
  stop: () => Promise<void>;
};

/** Starts a TPM of its own in a directory of its own, with an endorsement certificate where `certify` asks for one. */
export async function startSwtpm(certify?: (state: string) => void): Promise<SoftwareTpm> {
  const state = mkdtempSync(join(tmpdir(), 'sealborn-swtpm-'));
  certify?.(state);
  const port = await freePair();
  const child = await launch(state, port);
  return {
    tcti: `swtpm:host=127.0.0.1,port=${port}`,
    reset: () => {
      const tcti = `swtpm:host=127.0.0.1,port=${port}`;
      execFileSync('swtpm_ioctl', ['--tcp', `127.0.0.1:${port + 1}`, '-i'], { stdio: 'ignore' });
      execFileSync('tpm2_startup', ['-c'], {
        env: { ...process.env, TPM2TOOLS_TCTI: tcti },
        stdio: 'ignore',
      });
    },
    stop: async () => {
      await end(child);
      rmSync(state, { recursive: true, force: true });
    },
  };
}

/** Makes an endorsement certificate by an authority of the test's own; its PEM chain is in `ca` afterwards. */
export function certifyBy(ca: string): (state: string) => void {
  return (state) => {
    const config = join(ca, 'localca.conf');
    const options = join(ca, 'localca.options');
    execFileSync('/bin/sh', [
      '-c',
      `printf 'statedir = %s\\nsigningkey = %s/signkey.pem\\nissuercert = %s/issuercert.pem\\ncertserial = %s/certserial\\n' "$1" "$1" "$1" "$1" > "$2" &&
       printf -- '--platform-manufacturer Test\\n--platform-version 1\\n--platform-model Test\\n' > "$3" &&
       printf 'create_certs_tool = /usr/bin/swtpm_localca\\ncreate_certs_tool_config = %s\\ncreate_certs_tool_options = %s\\nactive_pcr_banks = sha256\\n' "$2" "$3" > "$1/setup.conf"`,
      'sh',
      ca,
      config,
      options,
    ]);
    execFileSync(
      'swtpm_setup',
      ['--tpm2', '--tpmstate', state, '--create-ek-cert', '--config', join(ca, 'setup.conf'), '--overwrite'],
      { stdio: 'ignore' },
    );
  };
}

async function launch(state: string, port: number): Promise<ChildProcess> {
  const child = spawn(
    'swtpm',
    [
      'socket',
      '--tpm2',
      '--tpmstate',
      `dir=${state}`,
      '--flags',
      'not-need-init,startup-clear',
      '--server',
      `type=tcp,bindaddr=127.0.0.1,port=${port}`,
      '--ctrl',
      `type=tcp,bindaddr=127.0.0.1,port=${port + 1}`,
    ],
    { stdio: 'ignore' },
  );
  // The control channel takes many connections; the other one only the TPM's user.
  await answering(port + 1, child);
  return child;
}

async function answering(port: number, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`swtpm ended with ${child.exitCode}`);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    const isUp = await promise;
    socket.destroy();
    if (isUp) return;
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once('exit', () => resolve());
  child.kill();
  await promise;
}

/** Two ports in a row that nobody holds: the second is the first plus one by swtpm's convention. */
async function freePair(): Promise<number> {
  for (;;) {
    const first = await free(0);
    if (first !== undefined && (await free(first + 1)) !== undefined) return first;
  }
}

async function free(port: number): Promise<number | undefined> {
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  const server = createServer();
  server.once('error', () => resolve(undefined));
  server.listen(port, '127.0.0.1', () => {
    const address = server.address();
    server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
  });
  return promise;
}
