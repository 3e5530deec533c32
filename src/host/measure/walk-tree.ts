import { setImmediate } from 'node:timers/promises';

import { type BytePath, ROOT_PATH, isWithin, joinPath } from '../../base/byte-path.ts';
import { displayPath } from '../../base/display.ts';
import type { MutableFile } from '../../base/mutable-rules.ts';
import { MAX_ENTRIES, MAX_PATH_BYTES } from '../../manifest/limits.ts';
import {
  type PackedTree,
  TYPE_BLOCK,
  TYPE_CHAR,
  TYPE_DIR,
  TYPE_FILE,
  TYPE_LINK,
} from '../../manifest/packed-tree.ts';
import { TreeBuilder } from '../../manifest/tree-builder.ts';
import { DirectoryStack } from './directory-stack.ts';
import { HostError } from '../host-error.ts';
import { lister, nameAddress, stat } from './instruments.ts';
import { ENOENT, errnoName } from '../kernel/linux.ts';
import { type Scope, isBundleMeasured, isClosed } from './measure-scope.ts';
import { readLink } from './read-entry.ts';

/** Between two of these many entries, timers and signals get their turn. */
const ENTRIES_A_TURN = 2000;

const NO_BYTES = new Uint8Array(0);

/** A directory on the way: its owner, the names in it, sorted, and how many were taken. */
type Frame = {
  index: number;
  path: BytePath;
  uid: number;
  gid: number;
  names: string[];
  /** The name that leads to the bundle's directory, where it does not exist yet. */
  missing: string | undefined;
  next: number;
};

/**
 * Lists a tree: every entry in the scope with its inode's metadata and link target, without contents and
 * attributes. Where the bundle's directory is missing, it is listed all the same, as it will stand there once
 * it is installed: mode 0755, owned as the directory that holds it; and so are directories on the way to it.
 * `onTurn` hears every now and then how many entries there are so far.
 * @throws HostError `tree-unreadable`, `not-found`, `not-a-directory`; the signal's reason
 */
export async function walkTree(
  root: number,
  scope: Scope,
  onTurn: (entries: number) => void,
  signal: AbortSignal | undefined,
): Promise<PackedTree> {
  const walker = new Walker(root, scope);
  try {
    while (walker.step()) {
      onTurn(walker.builder.count);
      await setImmediate();
      signal?.throwIfAborted();
    }
  } finally {
    walker.close();
  }
  return walker.builder.finish();
}

class Walker {
  readonly builder: TreeBuilder = new TreeBuilder();
  readonly #scope: Scope;
  readonly #stack: DirectoryStack;
  readonly #frames: Frame[] = [];
  // Those not yet met; what is left in the end is missing from the tree.
  readonly #roots: Set<BytePath>;

  constructor(root: number, scope: Scope) {
    this.#scope = scope;
    this.#roots = new Set(scope.roots);
    this.#stack = new DirectoryStack(root, (index) => nameAddress(this.#name(index)));
    const error = stat.of(root);
    if (error !== 0) throw unreadable(ROOT_PATH, error);
    this.#add(0, '', TYPE_DIR);
    this.#roots.delete(ROOT_PATH);
    this.#enter(0, ROOT_PATH);
  }

  close(): void {
    this.#stack.clear();
  }

  /** Takes some entries; false when all are taken. */
  step(): boolean {
    for (let taken = 0; taken < ENTRIES_A_TURN; taken += 1) {
      const frame = this.#frames.at(-1);
      if (frame === undefined) {
        const [missing] = this.#roots;
        if (missing === undefined) return false;
        throw notFound(missing);
      }
      const name = frame.names[frame.next];
      if (name === undefined) {
        this.#frames.pop();
        if (frame.index !== 0) this.#stack.pop();
        continue;
      }
      frame.next += 1;
      this.#visit(frame, name);
    }
    return true;
  }

  #visit(frame: Frame, name: string): void {
    if (name === frame.missing) return this.#addBundle(frame);
    const path = joinPath(frame.path, name);
    if (path.length > MAX_PATH_BYTES) {
      throw new HostError('tree-unreadable', `the path "/${displayPath(path).slice(0, 200)}…" is too long`);
    }
    const within = this.#descriptor(frame.path);
    const address = nameAddress(name);
    const error = stat.at(within, address);
    if (error === ENOENT && this.#roots.size > 0 && !isClosed(this.#scope, frame.path)) throw notFound(path);
    if (error !== 0) throw unreadable(path, error);
    const { type } = stat;
    if (type === 255) throw new HostError('tree-unreadable', `"/${displayPath(path)}" is of no known type`);
    const free = this.#scope.files.get(path);
    if (free !== undefined) return requireFree(free, path, type);
    this.#roots.delete(path);
    this.#requireDirectoryWhereNamed(path, type);
    const index = this.#add(frame.index, name, type);
    if (type === TYPE_LINK) {
      const target = readLink(within, address);
      if (typeof target === 'number') throw unreadable(path, target);
      this.builder.setExtra(index, target, NO_BYTES);
    }
    if (type !== TYPE_DIR) return;
    const opened = this.#stack.push(index);
    if (opened !== 0) throw unreadable(path, opened);
    this.#enter(index, path);
  }

  #requireDirectoryWhereNamed(path: BytePath, type: number): void {
    if (type === TYPE_DIR) return;
    const { roots, mutable, bundle } = this.#scope;
    // A single file may be a measured root; a link may not: what it points to would not be measured.
    const leads =
      roots.some((root) => isWithin(root, path) && (root !== path || type === TYPE_LINK)) ||
      isWithin(bundle, path);
    if (!leads && !mutable.includes(path)) return;
    throw new HostError('rule-unusable', `"/${displayPath(path)}" is not a directory, but the rules say so`, {
      hint: 'Under "measure", name a measured root, a mutable directory and the bundle by a path without links.',
    });
  }

  /** Opens a directory's turn; it stands on top of the stack, and `stat` holds its state. */
  #enter(index: number, path: BytePath): void {
    const { uid, gid } = stat;
    const names = isClosed(this.#scope, path) ? this.#list(path) : this.#waysToRoots(path);
    const missing = this.#wayToBundle(path, names);
    if (missing !== undefined) names.push(missing);
    // Code units are bytes here, so this is the order of the manifest.
    names.sort();
    this.#frames.push({ index, path, uid, gid, names, missing, next: 0 });
  }

  #list(path: BytePath): string[] {
    const names: string[] = [];
    const error = lister.list(this.#descriptor(path), (bytes, from, to) => {
      names.push(bytes.toString('latin1', from, to));
      if (names.length + this.builder.count > MAX_ENTRIES) {
        throw new HostError('tree-unreadable', `the tree has more than ${MAX_ENTRIES} entries`, {
          hint: 'Declare as mutable what need not be measured, or measure fewer roots.',
        });
      }
    });
    if (error !== 0) throw unreadable(path, error);
    return names;
  }

  #waysToRoots(path: BytePath): string[] {
    const names = this.#scope.roots.map((root) => nameTowards(path, root));
    return [...new Set(names)].filter((name) => name !== undefined);
  }

  #wayToBundle(path: BytePath, names: readonly string[]): string | undefined {
    if (!isBundleMeasured(this.#scope) || !isClosed(this.#scope, path)) return undefined;
    const name = nameTowards(path, this.#scope.bundle);
    return name === undefined || names.includes(name) ? undefined : name;
  }

  #addBundle({ index, path, uid, gid }: Frame): void {
    const way = path === '' ? this.#scope.bundle : this.#scope.bundle.slice(path.length + 1);
    let parent = index;
    for (const name of way.split('/')) {
      const bytes = Buffer.from(name, 'latin1');
      const row = { parent, type: TYPE_DIR, mode: 0o755, uid, gid, nlink: 0, size: 0 };
      parent = this.builder.add(row, bytes, 0, bytes.length);
    }
  }

  #add(parent: number, name: string, type: number): number {
    const bytes = Buffer.from(name, 'latin1');
    const device = type === TYPE_CHAR || type === TYPE_BLOCK;
    const size = type === TYPE_FILE ? stat.size : device ? stat.device : 0;
    const nlink = type === TYPE_DIR ? 0 : stat.nlink;
    const row = { parent, type, mode: stat.mode, uid: stat.uid, gid: stat.gid, nlink, size };
    return this.builder.add(row, bytes, 0, bytes.length);
  }

  #descriptor(path: BytePath): number {
    const descriptor = this.#stack.descriptor();
    if (descriptor < 0) throw unreadable(path, -descriptor);
    return descriptor;
  }

  #name(index: number): string {
    const { names, nameAt } = this.builder;
    const from = nameAt[index] ?? 0;
    return Buffer.from(names.buffer, names.byteOffset + from, (nameAt[index + 1] ?? 1) - 1 - from).toString(
      'latin1',
    );
  }
}

/** The name in `directory` on the way to `path`, where that lies below. */
function nameTowards(directory: BytePath, path: BytePath): string | undefined {
  if (path === directory || !isWithin(path, directory)) return undefined;
  return path.slice(directory === '' ? 0 : directory.length + 1).split('/')[0];
}

/** A mutable file is not listed; but a rule that what stands there breaks from the start is a mistake. */
function requireFree({ link }: MutableFile, path: BytePath, type: number): void {
  if (type === TYPE_FILE || (type === TYPE_LINK && link)) return;
  const wanted = link ? 'neither a file nor a link' : 'not a file';
  throw new HostError('rule-unusable', `"/${displayPath(path)}" is a mutable file, but ${wanted}`, {
    hint: 'Set "link: true" for one that may be a link; name a directory under "mutable".',
  });
}

function notFound(path: BytePath): HostError {
  return new HostError('not-found', `there is no "/${displayPath(path)}", which is to be measured`);
}

function unreadable(path: BytePath, error: number): HostError {
  return new HostError('tree-unreadable', `cannot read "/${displayPath(path)}": ${errnoName(error)}`, {
    hint: 'A file that was not read can not be in a manifest. Measure as a user who may read all of the image.',
  });
}
