import type { MountState } from '../../attestation/mount-state.ts';
import { bytePathOfText } from '../../base/byte-path.ts';
import { type Finding, finding } from '../../base/finding.ts';
import type { MountRule } from '../../base/mount-rules.ts';

/**
 * Whether the mounts for which the release names a root hash are dm-verity, set up with this one as far as the
 * kernel command line says. `states` are of the running machine.
 */
export function judgeRootHashes(
  rules: readonly MountRule[],
  states: readonly MountState[],
  at: string,
): Finding[] {
  return rules.flatMap(({ path, rootHash }) => {
    if (rootHash === undefined) return [];
    const state = states.find((one) => one.path === path);
    if (state?.backing === 'dm-verity' && state.claimedRootHash === rootHash) return [];
    const expected = `dm-verity, root hash ${rootHash}`;
    const actual =
      state?.backing === 'dm-verity'
        ? `dm-verity, ${state.claimedRootHash === undefined ? 'and the command line names no root hash' : `root hash ${state.claimedRootHash}`}`
        : (state?.backing ?? 'nothing is mounted there');
    return [finding(bytePathOfText(path), 'mount-options', expected, actual, at)];
  });
}
