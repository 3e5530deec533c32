import { isAbsolute, normalize } from 'node:path';

import { type Words, wordsShape } from '../attestation/statement.ts';
import { DEFAULT_PCR } from '../attestation/tpm/event-log.ts';
import { DEFAULT_BUNDLE_DIRECTORY } from '../base/measure-rules.ts';
import { BaseError } from '../base/errors.ts';
import { type Reader, mapped, number, optional, record, text, whole } from '../base/shape.ts';
import { readYaml } from '../base/yaml.ts';
import { readFileBounded } from '../host/files.ts';
import { type TcpAddress, isLoopback, parseTcpAddress } from '../host/net/tcp-address.ts';
import { AgentError } from './agent-error.ts';

/** Where reports go, and how often. */
export type CollectorSettings = {
  /** `https://…` or `http://…`; reports go to `<url>/v1/reports/<digest>`. */
  url: URL;
  intervalSeconds: number;
  /** The first report of a process waits a random time up to this, so that a fleet does not start as one. */
  splaySeconds: number;
  /** A PEM file with the authorities that the collector's certificate is checked against, instead of Node's. */
  ca: string | undefined;
};

/** How much of the decision log is kept, and how soon it is safe. */
export type DecisionLogSettings = {
  /** A file is closed at about this size; 1 MB is 10^6 bytes. */
  fileBytes: number;
  /** A file is closed at this age. */
  fileSeconds: number;
  /** All files together; the oldest go first. */
  keepBytes: number;
  /** The longest that a line waits to be made safe from a crash of the machine. */
  syncMilliseconds: number;
};

/** The agent's settings (`/etc/sealborn/agent.yaml`; packaging/agent.yaml explains each). None skips a check. */
export type AgentSettings = {
  root: string;
  bundle: string;
  trust: string;
  runDirectory: string;
  stateDirectory: string;
  /** Where the decision log is written. */
  logDirectory: string;
  decisionLog: DecisionLogSettings;
  sweepSeconds: number;
  /** Threads that hash; the checker chooses where it is undefined. */
  workers: number | undefined;
  health: { listen: TcpAddress };
  /** Where proxies that can't reach Unix sockets ask; a loopback address, or nowhere. */
  authz: { listen: TcpAddress } | undefined;
  collector: CollectorSettings | undefined;
  /** What the operator calls this host in reports. */
  labels: Words;
  /** How the TPM is reached, and the PCR that the agent extends; undefined where it uses none. */
  tpm: { tcti: string; pcr: number } | undefined;
};

/** Bytes of agent.yaml at most. */
const MAX_SETTINGS_BYTES = 65_536;

const path: Reader<string> = mapped(
  text({ max: 4095, pattern: /^\/[^\u0000]*$/, is: 'an absolute path' }),
  (value) => {
    if (!isAbsolute(value) || (normalize(value) !== value && normalize(value) !== `${value}/`)) {
      throw new Error('must be a normalised path: no "//", "." or ".."');
    }
    return value.length > 1 ? value.replace(/\/$/, '') : value;
  },
);

const collectorUrl: Reader<URL> = mapped(text({ max: 2048 }), (value) => {
  const url = URL.parse(value);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new Error('must be an http:// or https:// URL');
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new Error('must have no user, password, query or fragment');
  }
  return url;
});

/** A name of a transport in tpm2-tools' words, with its argument: no white space, nothing a tool could take for a flag. */
const tctiName: Reader<string> = text({
  max: 256,
  pattern: /^[a-z][a-z0-9]*(:[A-Za-z0-9_.,=/:-]*)?$/,
  is: 'a transport such as "device:/dev/tpmrm0"',
});

/** PCRs that firmware, IMA and systemd's own measurements leave alone, and that software can't set back as 16 and 23. */
const PCRS = [8, 9, 13, 14, 15];
const pcrNumber: Reader<number> = mapped(whole(0, 23), (pcr) => {
  if (PCRS.includes(pcr)) return pcr;
  throw new Error(
    `must be one of ${PCRS.join(', ')}: others belong to firmware or the kernel, or can be set back`,
  );
});

/** Whoever reaches this address may ask, so nobody off the machine must. */
function parseLoopback(value: string): TcpAddress {
  const address = parseTcpAddress(value);
  if (!isLoopback(address))
    throw new Error('must be a loopback address such as 127.0.0.1:9181 or [::1]:9181');
  return address;
}

const settingsShape = record({
  root: optional(path),
  bundle: optional(path),
  trust: optional(path),
  runDirectory: optional(path),
  stateDirectory: optional(path),
  logDirectory: optional(path),
  decisionLog: optional(
    record({
      fileMegabytes: optional(number(0.01, 10_000)),
      fileHours: optional(number(0.001, 8760)),
      keepMegabytes: optional(number(0.02, 10_000_000)),
      syncMilliseconds: optional(number(1, 60_000)),
    }),
  ),
  sweepSeconds: optional(number(0.05, 3600)),
  workers: optional(whole(1, 64)),
  health: optional(record({ listen: optional(mapped(text({ max: 300 }), parseTcpAddress)) })),
  authz: optional(record({ listen: mapped(text({ max: 300 }), parseLoopback) })),
  collector: optional(
    record({
      url: collectorUrl,
      intervalSeconds: optional(number(0.05, 86_400)),
      splaySeconds: optional(number(0, 3600)),
      ca: optional(path),
    }),
  ),
  labels: optional(wordsShape),
  tpm: optional(record({ tcti: optional(tctiName), pcr: optional(pcrNumber) })),
});

/**
 * Reads the agent's settings. A file that sets nothing gives the defaults; an unknown key is refused.
 * @throws AgentError `settings-invalid`, naming file and line
 */
export function parseSettings(bytes: Uint8Array, file: string): AgentSettings {
  if (bytes.length > MAX_SETTINGS_BYTES) {
    throw new AgentError('settings-invalid', `${file} is larger than ${MAX_SETTINGS_BYTES} bytes`);
  }
  const set = readSettingsYaml(bytes, file);
  const { collector } = set;
  return {
    root: set.root ?? '/',
    bundle: set.bundle ?? DEFAULT_BUNDLE_DIRECTORY,
    trust: set.trust ?? '/usr/share/sealborn/trust.yaml',
    runDirectory: set.runDirectory ?? '/run/sealborn',
    stateDirectory: set.stateDirectory ?? '/var/lib/sealborn',
    logDirectory: set.logDirectory ?? '/var/log/sealborn',
    decisionLog: decisionLogOf(set.decisionLog, file),
    sweepSeconds: set.sweepSeconds ?? 60,
    workers: set.workers,
    health: { listen: set.health?.listen ?? { host: '0.0.0.0', port: 9180 } },
    authz: set.authz,
    collector:
      collector === undefined
        ? undefined
        : {
            url: collector.url,
            intervalSeconds: collector.intervalSeconds ?? 60,
            splaySeconds: collector.splaySeconds ?? 5,
            ca: collector.ca,
          },
    labels: set.labels ?? {},
    tpm:
      set.tpm === undefined
        ? undefined
        : { tcti: set.tpm.tcti ?? 'device:/dev/tpmrm0', pcr: set.tpm.pcr ?? DEFAULT_PCR },
  };
}

function decisionLogOf(set: SettingsFile['decisionLog'], file: string): DecisionLogSettings {
  const fileMegabytes = set?.fileMegabytes ?? 64;
  const keepMegabytes = set?.keepMegabytes ?? 1024;
  // The oldest file goes before the newest is full, so one whole file must fit beside it.
  if (keepMegabytes < 2 * fileMegabytes) {
    throw new AgentError(
      'settings-invalid',
      `${file}: decisionLog: keepMegabytes (${keepMegabytes}) must be at least twice fileMegabytes (${fileMegabytes})`,
    );
  }
  return {
    fileBytes: fileMegabytes * 1e6,
    fileSeconds: (set?.fileHours ?? 24) * 3600,
    keepBytes: keepMegabytes * 1e6,
    syncMilliseconds: set?.syncMilliseconds ?? 200,
  };
}

type SettingsFile = ReturnType<typeof settingsShape>;

function readSettingsYaml(bytes: Uint8Array, file: string): SettingsFile {
  try {
    return readYaml(bytes, file, (value, at, problems) =>
      // An empty document, such as the shipped file with all its lines commented, is null in YAML.
      settingsShape(value === null && at.length === 0 ? {} : value, at, problems),
    ).value;
  } catch (cause) {
    if (!(cause instanceof BaseError)) throw cause;
    throw new AgentError('settings-invalid', cause.message, {
      cause,
      hint: 'packaging/agent.yaml shows every setting with its default.',
    });
  }
}

/**
 * Reads the settings from a file; without one, the defaults.
 * @throws AgentError `settings-invalid`; HostError where the file can't be read
 */
export async function readSettings(file: string): Promise<AgentSettings> {
  return parseSettings(await readFileBounded(file, MAX_SETTINGS_BYTES, { follow: true }), file);
}
