import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILES_A_DIRECTORY = 20;

/** Makes a tree of so many files: most of 4 KB, every hundredth of 1 MB. @returns its root */
export function makeQuickTree(root: string, files: number): string {
  const small = Buffer.alloc(4000, 'content');
  const large = Buffer.alloc(1_000_000, 'content');
  for (let i = 0; i < files; i += 1) {
    const within = join(root, `d${Math.floor(i / FILES_A_DIRECTORY)}`);
    if (i % FILES_A_DIRECTORY === 0) mkdirSync(within, { recursive: true });
    const bytes = i % 100 === 0 ? large : small;
    bytes.writeUInt32LE(i);
    writeFileSync(join(within, `file-${i}`), bytes);
  }
  return root;
}
