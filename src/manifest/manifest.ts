import type { BytePath } from '../base/byte-path.ts';
import type { Entry } from './entry.ts';
import { type PackedTree, entryAt, findPath, sumFiles, verityOf } from './packed-tree.ts';

declare const manifestBrand: unique symbol;

/** What an image must hold, checked line by line. Made only by `parseManifest`; in memory as `PackedTree`. */
export type Manifest = Iterable<Entry> & {
  readonly [manifestBrand]: true;
  /** All entries, the root included. */
  readonly size: number;
  /** Regular files among them; never 0. */
  readonly files: number;
  /** Bytes of all regular files together, hard links counted by name. */
  readonly bytes: number;
  /** Regular files for which there is an fs-verity digest. */
  readonly fsVerity: number;
  /** The entries in columns, for whoever compares all of them. */
  readonly tree: PackedTree;
  /** The entry at `path`, or undefined. */
  get(path: BytePath): Entry | undefined;
};

/** For `parseManifest` alone, which has checked what the tree holds. */
export function sealManifest(tree: PackedTree): Manifest {
  let fsVerity = 0;
  for (let i = 0; i < tree.count; i += 1) if (verityOf(tree, i) !== undefined) fsVerity += 1;
  const manifest = {
    size: tree.count,
    ...sumFiles(tree),
    fsVerity,
    tree,
    get: (path: BytePath): Entry | undefined => {
      const index = findPath(tree, path);
      return index < 0 ? undefined : entryAt(tree, index);
    },
    *[Symbol.iterator](): Generator<Entry> {
      for (let i = 0; i < tree.count; i += 1) yield entryAt(tree, i);
    },
  };
  return manifest as unknown as Manifest;
}
