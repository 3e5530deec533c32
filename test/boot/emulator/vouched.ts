import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { flipOneByte } from '../flip-one-byte.ts';
import { bakeTrust, newKeys, policyRepository, seal } from '../pipeline.ts';

/** What `sealborn verify --json` says of a tree. */
export type Checked = {
  result: string;
  measured: { files: number; bytes: number; vouched: number };
  drift: { path: string; kind: string; expected: string; actual: string }[];
};

/** The file that differs in the second tree. */
export const CHANGED = '/usr/lib/large';

/**
 * In the guest: enables fs-verity for all files of both trees, and verifies both. The mount is in a namespace of its
 * own, where the agent does not see it.
 */
export const VOUCHED_PROBE = `#!/bin/sh
mount /dev/vdc /tmp
for tree in sealed changed; do
  find /tmp/$tree -type f -exec fsverity enable {} \\;
  at=/tmp/$tree/usr/share/sealborn
  echo "$tree $(sealborn verify $at/bundle --trust $at/trust.yaml --root /tmp/$tree --json | tr -d '\\n')"
done
umount /tmp
`;

/** An ext4 file system that can have fs-verity, with a small sealed tree, and with one in which a byte was changed. */
export function makeVouchedDisk(place: string): string {
  const top = join(place, 'vouched');
  const tree = join(top, 'sealed');
  for (const name of ['etc', 'usr/bin', 'usr/lib']) mkdirSync(join(tree, name), { recursive: true });
  writeFileSync(join(tree, 'etc/settings'), 'a = 1\n');
  writeFileSync(join(tree, 'usr/bin/tool'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(join(tree, CHANGED), Buffer.alloc(300_000, 'large'));
  const keys = newKeys(join(place, 'vouched-release'));
  bakeTrust(tree, keys);
  const policy = policyRepository(join(place, 'vouched-policy'), ['  fsVerity: true']);
  seal(tree, policy, 'production', keys);
  cpSync(tree, join(top, 'changed'), { recursive: true, preserveTimestamps: true });
  flipOneByte(join(top, 'changed', CHANGED));
  const file = join(place, 'vouched.ext4');
  execFileSync('mkfs.ext4', ['-q', '-b', '4096', '-O', 'verity', '-d', top, file, '16M'], {
    stdio: 'ignore',
  });
  return file;
}
