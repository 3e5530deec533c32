import { AgentError } from './agent-error.ts';

/**
 * Variables that change what a program does before or beneath its own code: they load code or configuration
 * into Node, OpenSSL, libuv or the dynamic loader, or write TLS secrets out. The agent's files are measured;
 * its environment is not, so none of these may stand in it.
 */
const DANGEROUS = /^(?:LD_|NODE_|OPENSSL_|SSL_|SSLKEYLOGFILE$|GLIBC_TUNABLES$|GCONV_PATH$|LOCPATH$|UV_)/;

/** Of those, the ones that only inform: images of Node set NODE_VERSION, many services NODE_ENV. */
const HARMLESS: ReadonlySet<string> = new Set([
  'NODE_ENV',
  'NODE_VERSION',
  'NODE_CHANNEL_FD',
  'NODE_CHANNEL_SERIALIZATION_MODE',
  'UV_THREADPOOL_SIZE',
]);

function isDangerous(name: string): boolean {
  return DANGEROUS.test(name) && !HARMLESS.has(name);
}

/**
 * Refuses an environment that could have changed the program before it looked (attacks, row 42). Where such
 * a variable took effect already, as NODE_OPTIONS does, this check is part of what it could change; so the
 * units and `sealborn run` start the halves without any, and this makes a mistake visible.
 * @throws AgentError `environment-unsafe`
 */
export function requireSafeEnvironment(environment: NodeJS.ProcessEnv): void {
  const set = Object.keys(environment).filter((name) => isDangerous(name) && environment[name] !== '');
  if (set.length === 0) return;
  throw new AgentError('environment-unsafe', `the environment sets ${set.sort().slice(0, 10).join(', ')}`, {
    hint: 'Start the agent without them. For a private certificate authority, set collector.ca in agent.yaml.',
  });
}

/** The environment without the variables that `requireSafeEnvironment` refuses, for a child process. */
export function safeEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !isDangerous(name)));
}
