import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';

import type { Sha256 } from '../base/digest.ts';
import { messageOf } from '../base/errors.ts';
import { readFileBounded, writeFileNew } from './files.ts';
import { HostError } from './host-error.ts';

/** What sealborn asks of a TPM 2.0: a small interface over Debian's tpm2-tools, each call a process of its own. */
export type Tpm = {
  /** Extends a PCR of the SHA-256 bank. */
  extend: (pcr: number, digest: Sha256) => Promise<void>;
  /** The value of a PCR of the SHA-256 bank. */
  read: (pcr: number) => Promise<Sha256>;
  /** The TPM2B_PUBLIC of the attestation key and of the RSA endorsement key. */
  keys: () => Promise<{ attestationKey: Buffer; endorsementKey: Buffer }>;
  /** The endorsement key's certificate in DER, as its maker left it in the TPM; undefined where there is none. */
  endorsementCertificate: () => Promise<Buffer | undefined>;
  /** Quotes one PCR of the SHA-256 bank: TPMS_ATTEST and TPMT_SIGNATURE. */
  quote: (pcr: number, extraData: Uint8Array) => Promise<{ message: Buffer; signature: Buffer }>;
  /** Opens a credential made by `makeCredential` for the two keys: the secret. */
  activate: (credential: Uint8Array) => Promise<Buffer>;
};

export type TpmOptions = {
  /** How to reach the TPM, in the words of tpm2-tools: `device:/dev/tpmrm0`. */
  tcti: string;
  /** Where files are exchanged with the tools; a directory is made in it for each call, and removed. */
  directory: string;
  /** Told of a directory that could not be removed. */
  onLeftover?: (message: string) => void;
};

/** A command of a discrete TPM may take seconds; one that takes longer than this has hung. */
const TIMEOUT_MS = 30_000;
/** Bytes of what a tool prints at most. */
const MAX_OUTPUT_BYTES = 64 * 1024;
/** Bytes of a file that a tool writes at most. */
const MAX_FILE_BYTES = 16 * 1024;

/**
 * The attestation key is a primary key of the endorsement hierarchy: the TPM derives the same one from its seed
 * each time, so nothing of it is kept on disk and it lives as long as the TPM's identity. It has no password, so
 * `noda` keeps it out of the TPM's lockout, which a machine falls into that loses power often.
 */
const ATTESTATION_KEY = [
  ['-C', 'e'],
  ['-G', 'ecc256:ecdsa-sha256:null'],
  ['-g', 'sha256'],
  ['-a', 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign'],
].flat();

/** NV index of the RSA 2048 endorsement certificate: TCG EK Credential Profile, section 2.2.1.4. */
const CERTIFICATE_INDEX = '0x1c00002';

/** The programs are files of the image, measured like any other; no search path is asked for them. */
const TOOLS = '/usr/bin/';

/**
 * Makes the interface. Calls are done one after another: a TPM does one thing at a time.
 * @throws HostError from its calls: `tpm-failed` with what the tool said
 */
export function openTpm({ tcti, directory, onLeftover }: TpmOptions): Tpm {
  let turn: Promise<unknown> = Promise.resolve();
  const exclusively = <T>(work: (folder: string) => Promise<T>): Promise<T> => {
    const result = turn.then(async () => {
      const folder = await mkdtemp(join(directory, 'tpm-'));
      try {
        return await work(folder);
      } finally {
        await rm(folder, { recursive: true, force: true }).catch((thrown: unknown) => {
          onLeftover?.(`"${folder}" could not be removed: ${messageOf(thrown)}`);
        });
      }
    });
    turn = result.catch(() => undefined);
    return result;
  };
  const run = (tool: string, args: readonly string[], folder: string): Promise<string> =>
    runTool(tool, args, tcti, folder);
  // Without a resource manager, objects of the call before still fill the TPM's few slots.
  const freeSlots = (folder: string): Promise<string> => run('tpm2_flushcontext', ['-t'], folder);
  const makeAttestationKey = async (folder: string): Promise<void> => {
    await freeSlots(folder);
    await run('tpm2_createprimary', [...ATTESTATION_KEY, '-c', 'ak.ctx', '-o', 'ak.pub', '-Q'], folder);
  };
  const makeEndorsementKey = async (folder: string): Promise<void> => {
    await freeSlots(folder);
    await run('tpm2_createek', ['-G', 'rsa', '-c', 'ek.ctx', '-u', 'ek.pub', '-Q'], folder);
  };
  const readOut = (folder: string, name: string): Promise<Buffer> =>
    readFileBounded(join(folder, name), MAX_FILE_BYTES);

  return {
    extend: (pcr, digest) =>
      exclusively(async (folder) => {
        await run('tpm2_pcrextend', [`${pcr}:sha256=${digest}`, '-Q'], folder);
      }),
    read: (pcr) =>
      exclusively(async (folder) => {
        await run('tpm2_pcrread', [`sha256:${pcr}`, '-o', 'pcr', '-Q'], folder);
        return (await readOut(folder, 'pcr')).toString('hex') as Sha256;
      }),
    keys: () =>
      exclusively(async (folder) => {
        await makeAttestationKey(folder);
        await makeEndorsementKey(folder);
        const [attestationKey, endorsementKey] = [
          await readOut(folder, 'ak.pub'),
          await readOut(folder, 'ek.pub'),
        ];
        return { attestationKey, endorsementKey };
      }),
    endorsementCertificate: () =>
      exclusively(async (folder) => {
        const listed = await run('tpm2_getcap', ['handles-nv-index'], folder);
        if (!listed.toLowerCase().includes(CERTIFICATE_INDEX)) return undefined;
        await run('tpm2_nvread', [CERTIFICATE_INDEX, '-C', 'o', '-o', 'ek.crt'], folder);
        return readOut(folder, 'ek.crt');
      }),
    quote: (pcr, extraData) =>
      exclusively(async (folder) => {
        await makeAttestationKey(folder);
        const given = Buffer.from(extraData).toString('hex');
        const args = ['-c', 'ak.ctx', '-l', `sha256:${pcr}`, '-g', 'sha256', '-q', given];
        await run('tpm2_quote', [...args, '-m', 'message', '-s', 'signature', '-f', 'tss', '-Q'], folder);
        return { message: await readOut(folder, 'message'), signature: await readOut(folder, 'signature') };
      }),
    activate: (credential) =>
      exclusively(async (folder) => {
        await makeAttestationKey(folder);
        await makeEndorsementKey(folder);
        await writeFileNew(join(folder, 'credential'), Buffer.from(credential), 0o600);
        await freeSlots(folder);
        await run('tpm2_startauthsession', ['--policy-session', '-S', 'session', '-Q'], folder);
        try {
          // The endorsement key's policy asks for the endorsement hierarchy's authorisation, which is empty.
          await run('tpm2_policysecret', ['-S', 'session', '-c', 'e', '-Q'], folder);
          const keys = ['-c', 'ak.ctx', '-C', 'ek.ctx', '-P', 'session:session'];
          await run('tpm2_activatecredential', [...keys, '-i', 'credential', '-o', 'secret', '-Q'], folder);
        } finally {
          await run('tpm2_flushcontext', ['session'], folder);
        }
        return readOut(folder, 'secret');
      }),
  };
}

async function runTool(tool: string, args: readonly string[], tcti: string, folder: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  execFile(
    `${TOOLS}${tool}`,
    [...args],
    {
      cwd: folder,
      env: { TPM2TOOLS_TCTI: tcti, TSS2_LOG: 'all+NONE', HOME: folder },
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
      maxBuffer: MAX_OUTPUT_BYTES,
    },
    (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(toolError(tool, tcti, error, stderr));
    },
  );
  return promise;
}

function toolError(
  tool: string,
  tcti: string,
  error: Error & { code?: unknown; killed?: boolean },
  stderr: string,
): HostError {
  const said = stderr.trim().split('\n')[0] ?? '';
  const why =
    error.code === 'ENOENT'
      ? 'it is not installed'
      : error.killed === true
        ? `it did not end within ${TIMEOUT_MS / 1000} s`
        : said === ''
          ? messageOf(error)
          : said;
  return new HostError('tpm-failed', `${tool} over "${tcti}": ${why}`, {
    cause: error,
    hint: 'Install tpm2-tools in the image, and let the agent open the TPM (group tss).',
  });
}
