import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** A root file system that nothing can write to, and the tree of hashes that its root hash vouches for. */
export type Disk = { data: string; hashes: string; rootHash: string };

/** Makes an erofs file system of a directory, and dm-verity's hashes for it. */
export function makeDisk(root: string, place: string, name: string): Disk {
  const [data, hashes] = [join(place, `${name}.erofs`), join(place, `${name}.verity`)];
  execFileSync('mkfs.erofs', ['-zlz4', data, root], { stdio: 'ignore' });
  const said = execFileSync('veritysetup', ['format', data, hashes], { encoding: 'utf8' });
  const rootHash = /^Root hash:\s+([0-9a-f]{64})$/m.exec(said)?.[1];
  if (rootHash === undefined) throw new Error(`veritysetup said no root hash: ${said}`);
  return { data, hashes, rootHash };
}
