import { realpathSync } from 'node:fs';

import type { MountCoverage } from '../../attestation/mount-state.ts';
import { type BytePath, bytePathOfText } from '../../base/byte-path.ts';
import { type Finding, finding } from '../../base/finding.ts';
import type { MeasureRules } from '../../base/measure-rules.ts';
import { type BoundsPlan, planBounds } from '../measure/bounds-plan.ts';
import { type MountViews, compareMountViews } from './compare-mount-views.ts';
import { HostError, hostErrorOf } from '../host-error.ts';
import { judgeMounts } from './judge-mounts.ts';
import { judgeRootHashes } from './judge-root-hash.ts';
import { KERNEL_FILES, type KernelFiles, mountCoverage } from './mount-coverage.ts';
import { createMountHistory } from './mount-history.ts';
import { parseMountInfo } from './mount-info.ts';
import { mountScopeOf } from './mount-scope.ts';
import { createMountTable } from './mount-table.ts';
import { readMountInfo } from './read-mount-info.ts';

export type MountWatchOptions = {
  /** Where the tree lies on this machine. */
  root: string;
  rules: MeasureRules;
  /** Whether it is the tree that this machine runs on; of another, only where mounts lie is judged. */
  isRunning: boolean;
  /** Files to read instead of the kernel's, for tests. */
  tables?: { own: string; init: string };
  kernel?: KernelFiles;
};

export type MountLook = {
  findings: Finding[];
  /**
   * What the tree is read through, and whose mount table the rules were applied to: that of PID 1, with which the
   * agent's own agrees or is found to differ; or the agent's own alone, where that of PID 1 can't be seen.
   */
  mounts: MountCoverage;
  /** Where to look, to see that mutable areas keep within their bounds. */
  plan: BoundsPlan;
};

/** Looks at the mount tables; undefined where they have not changed since the last look. */
export type MountWatch = (at: string) => MountLook | undefined;

/** Tables that differ are read again this often: between the two, something may have been mounted. */
const TRIES = 3;

const TABLES = { own: '/proc/self/mountinfo', init: '/proc/1/mountinfo' };

/**
 * Watches what is mounted over, under and in a tree. A look at tables that have not changed costs two reads of
 * procfs. It throws HostError where the agent's own table can't be read: what can't be checked is not trusted.
 * @throws HostError `not-found` and its like where there is no such root
 */
export function createMountWatch(options: MountWatchOptions): MountWatch {
  const { isRunning, tables = TABLES, kernel = KERNEL_FILES } = options;
  const root = resolveRoot(options.root);
  const rules = mountScopeOf(options.rules);
  const history = createMountHistory(root, rules);
  let ownBytes: Buffer | undefined;
  let initBytes: Buffer | undefined;
  let looked = false;

  /** Whether anything is new. */
  const read = (): boolean => {
    const own = readMountInfo(tables.own, ownBytes);
    // A tree that lies elsewhere is mounted where the caller sees it, perhaps there alone.
    const init = isRunning ? readMountInfo(tables.init, initBytes) : undefined;
    if (own === undefined) throw new HostError('permission-denied', `cannot read "${tables.own}"`);
    if (looked && own === ownBytes && init === initBytes) return false;
    ownBytes = own;
    initBytes = init;
    return true;
  };
  return (at) => {
    const hadInit = initBytes !== undefined;
    if (!read()) return undefined;
    looked = true;
    let seen = parse(ownBytes, initBytes);
    let bounds = planBounds(seen.own, root, rules, isRunning, at);
    let differing = compareMountViews(seen, root, rules, bounds.plan, at);
    for (let tries = 1; differing.length > 0 && tries < TRIES && read(); tries += 1) {
      seen = parse(ownBytes, initBytes);
      bounds = planBounds(seen.own, root, rules, isRunning, at);
      differing = compareMountViews(seen, root, rules, bounds.plan, at);
    }
    const machine = seen.init ?? seen.own;
    const view = seen.init === undefined ? 'own' : 'init';
    const mounts = mountCoverage(machine, root, rules, view, kernel);
    const findings = [
      ...(hadInit && seen.init === undefined ? [lost(tables.init, at)] : []),
      ...differing,
      ...judgeMounts(machine, root, rules, !isRunning, at),
      ...(isRunning ? judgeRootHashes(options.rules.mounts, mounts.shown, at) : []),
      ...history(machine, at),
      ...bounds.findings,
    ];
    return { findings, mounts, plan: bounds.plan };
  };
}

function parse(ownBytes: Buffer | undefined, initBytes: Buffer | undefined): MountViews {
  const own = createMountTable(parseMountInfo(ownBytes ?? Buffer.alloc(0)));
  if (initBytes === undefined) return { own, init: undefined };
  // The same bytes, ids and all, are one namespace.
  const isSame = ownBytes?.equals(initBytes) === true;
  return { own, init: isSame ? own : createMountTable(parseMountInfo(initBytes)) };
}

/** PID 1 does not go away; who hides it from the agent hides what it sees. */
function lost(path: string, at: string): Finding {
  return finding(bytePathOfText(path), 'unreadable', 'readable, as it was before', 'nothing', at);
}

function resolveRoot(root: string): BytePath {
  try {
    return bytePathOfText(realpathSync(root));
  } catch (cause) {
    throw hostErrorOf(`resolving "${root}", the root of the tree`, cause);
  }
}
