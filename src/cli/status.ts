import { setTimeout as sleep } from 'node:timers/promises';

import type { Command } from 'commander';

import { type DecisionLogStatus, type Status, statusShape } from '../attestation/status.ts';
import type { MountCoverage } from '../attestation/mount-state.ts';
import type { Coverage, State } from '../attestation/verdict.ts';
import { escapeControls } from '../base/display.ts';
import { HostError } from '../host/host-error.ts';
import { DEFAULT_SOCKET, askAgent, readAnswer } from './agent-socket.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { describeFindings } from './findings.ts';
import { type Style, type Terminal, formatBytes, formatCount, formatSeconds, labelled } from './terminal.ts';
import { type CliContext, action, addVerb, printJson, wholeNumber } from './verb.ts';

const EXIT_BY_STATE: Readonly<Record<State, ExitCode>> = {
  trusted: EXIT.good,
  drifted: EXIT.no,
  refused: EXIT.refused,
  measuring: EXIT.pending,
  starting: EXIT.pending,
};

type StatusFlags = { json?: true; socket: string; wait?: number };

/** How often `--wait` asks. */
const POLL_MS = 200;

/** `sealborn status` */
export function addStatusVerb(program: Command, context: CliContext): void {
  addVerb(program, 'status', {
    summary: "show this machine's state, release and drift",
    description:
      'Asks the running agent for its verdict: the state, the release with its commit, what was measured, and ' +
      'every finding with what was expected and what was found.',
    examples: [
      'sealborn status',
      'sealborn status --json | jq -r .state',
      'sealborn status --wait 600  # at boot: until there is a verdict',
    ],
    exits: [
      `${EXIT.good}   trusted`,
      `${EXIT.no}   drifted: a file differs; the state stays until the machine is replaced or rebooted`,
      `${EXIT.refused}   refused: the bundle is not acceptable`,
      `${EXIT.pending}   starting or measuring`,
      `${EXIT.unavailable}  no agent answers`,
    ],
  })
    .option('--socket <path>', "the agent's decision socket", DEFAULT_SOCKET)
    .option(
      '--wait <seconds>',
      'wait for a verdict, and for the agent, up to so long',
      wholeNumber(1, 86_400),
    )
    .action(
      action<StatusFlags, []>(context, async (options) => {
        const status = await askStatus(options.socket, performance.now() + (options.wait ?? 0) * 1000);
        if (options.json === true) printJson(context.terminal, status);
        else context.terminal.out(describe(status, context.terminal, new Date()));
        return EXIT_BY_STATE[status.state];
      }),
    );
}

/** The status, asked for again until there is a verdict or the time is over. */
async function askStatus(socket: string, until: number): Promise<Status> {
  for (;;) {
    const isOver = performance.now() >= until;
    try {
      const { value } = await askAgent(socket, { method: 'GET', path: '/status' });
      const status = readAnswer(statusShape, value, socket);
      if (isOver || (status.state !== 'starting' && status.state !== 'measuring')) return status;
    } catch (thrown) {
      // One that ends while it answers (io-failed) is started again by systemd.
      const mayCome =
        thrown instanceof HostError && ['unreachable', 'timeout', 'io-failed'].includes(thrown.code);
      if (isOver || !mayCome) throw thrown;
    }
    await sleep(POLL_MS);
  }
}

function describe(status: Status, { outStyle }: Terminal, now: Date): string {
  const { state, since, release, measured, coverage, drift, driftTotal, reason, assurance } = status;
  const rows: [string, string][] = [['since', `${since} (${ago(since, now)})`]];
  if (release !== undefined) {
    rows.push(
      [
        'release',
        `${release.name} ${release.version} (sequence ${release.sequence}) for ${release.environment}`,
      ],
      ['commit', release.commit],
      ['digest', release.digest],
    );
  }
  if (measured !== undefined) {
    const { files, bytes, seconds } = measured;
    rows.push([
      'measured',
      `${formatCount(files)} files, ${formatBytes(bytes)} in ${formatSeconds(seconds)}`,
    ]);
  }
  if (coverage !== undefined) rows.push(...coverageRows(coverage, now));
  rows.push(['assurance', assurance]);
  if (reason !== undefined) rows.push(['reason', `${reason.message} [${reason.code}]`]);
  rows.push(['decisions', logLine(status.decisionLog)]);
  if (driftTotal > 0)
    rows.push(['drift', `${formatCount(driftTotal)} ${driftTotal === 1 ? 'finding' : 'findings'}`]);
  return (
    stateWord(state, outStyle) + labelled(rows, outStyle) + describeFindings(drift, driftTotal, outStyle)
  );
}

function logLine({ head, whenFull, notLogged, fault }: DecisionLogStatus): string {
  const logged = head === undefined ? 'no line yet' : `${formatCount(head.seq)} lines, head ${head.head}`;
  const lost = notLogged.blocked + notLogged.dropped;
  const missing = lost === 0 ? '' : `; ${formatCount(lost)} not logged`;
  if (fault === undefined) return `${logged}${missing}`;
  const what = whenFull === 'block' ? 'denied' : 'made without a line';
  return `${what} since ${fault.since}: ${fault.message} [${fault.code}]${missing}`;
}

/** Mounts in full are in the JSON; a table of more than a few helps nobody. */
const MOUNTS_SHOWN = 8;

function mountRows({ view, total, shown }: MountCoverage): [string, string][] {
  const rows = shown
    .slice(0, MOUNTS_SHOWN)
    .map(({ path, type, options, backing, claimedRootHash }): [string, string] => {
      const hash =
        claimedRootHash === undefined ? '' : `, root hash ${claimedRootHash} claimed by the command line`;
      return ['mount', escapeControls(`${path}  ${type} ${options.join(',')}: ${backing}${hash}`)];
    });
  if (total > rows.length) rows.push(['mount', `and ${formatCount(total - rows.length)} more`]);
  if (view === 'own') rows.push(['mounts', 'as the agent sees them; the table of PID 1 can not be read']);
  return rows;
}

function coverageRows(
  { mounts, fsVerity, ima, watch, sweep, rehash }: Coverage,
  now: Date,
): [string, string][] {
  const rows: [string, string][] = [];
  if (mounts !== undefined) rows.push(...mountRows(mounts));
  if (fsVerity !== undefined) {
    const { vouched, recorded } = fsVerity;
    const of = `${formatCount(vouched)} of ${formatCount(recorded)}`;
    rows.push(['fs-verity', `${of} files vouched for by the kernel, and not read`]);
  }
  if (ima !== undefined) {
    const part = ima.whole ? '' : ', the first part';
    rows.push(['ima list', `${formatBytes(ima.bytes)}${part}, sha256 ${ima.digest}, ${ago(ima.at, now)}`]);
  }
  if (watch !== undefined) {
    const { held, wanted, error, overflows } = watch;
    const of =
      held === wanted ? `all ${formatCount(wanted)}` : `${formatCount(held)} of ${formatCount(wanted)}`;
    const why = error === undefined ? '' : ` (${error})`;
    const full = overflows === 0 ? '' : `; the queue overflowed ${formatCount(overflows)} times`;
    rows.push(['watched', `${of} directories${why}${full}`]);
  }
  if (sweep !== undefined) {
    const { everySeconds, endedAt } = sweep;
    const last = endedAt === undefined ? '' : `; the last one ended ${ago(endedAt, now)}`;
    rows.push(['swept', `every ${formatSeconds(everySeconds)}${last}`]);
  }
  if (rehash !== undefined) {
    const { done, everyHours, bytes, direct, lastFullRehash } = rehash;
    const last = lastFullRehash === undefined ? '' : `; the last full pass ended ${ago(lastFullRehash, now)}`;
    const how = direct === bytes ? '' : `; ${formatBytes(bytes - direct)} without O_DIRECT`;
    const every = formatSeconds(everyHours * 3600);
    rows.push(['reread', `every ${every}, ${Math.floor(done * 100)}% of this pass${how}${last}`]);
  }
  return rows;
}

function ago(moment: string, now: Date): string {
  return `${formatSeconds(Math.max(0, (now.getTime() - Date.parse(moment)) / 1000))} ago`;
}

function stateWord(state: State, style: Style): string {
  switch (state) {
    case 'trusted':
      return `${style.good(style.strong('trusted'))}\n`;
    case 'drifted':
    case 'refused':
      return `${style.bad(style.strong(state))}\n`;
    case 'starting':
    case 'measuring':
      return `${style.warn(style.strong(state))}\n`;
  }
}
