import { MAX_XATTRS_BYTES } from '../../manifest/limits.ts';
import { packXattrs } from '../../manifest/xattr-blob.ts';
import {
  E2BIG,
  ENODATA,
  EOPNOTSUPP,
  ERANGE,
  Pinned,
  errno,
  fgetxattr,
  flistxattr,
  lgetxattr,
  llistxattr,
} from './linux.ts';

/** The kernel's bounds on a list of names and on one value (linux/limits.h: XATTR_LIST_MAX, XATTR_SIZE_MAX). */
const LIST_BYTES = 65_536;
const VALUE_BYTES = 65_536;

/** Asked for first: the kernel allocates as much as it is asked for, at every call, and 64 KiB take it long. */
const FEW_BYTES = 512;

/** A set that changes while it is read is read again this often. */
const TRIES = 3;

const NONE = new Uint8Array(0);

/** One of the calls, with room for so many bytes. */
type Call = (size: number) => number;

/** Calls with little room, and with all that it may need where that was too little. */
function upTo(most: number, call: Call): number {
  const length = call(FEW_BYTES);
  return length < 0 && errno() === ERANGE ? call(most) : length;
}

/**
 * Reads extended attributes as `packXattrs` writes them: security.capability, ACLs, labels, user attributes.
 * `trusted.*` is left out: only a process with CAP_SYS_ADMIN sees those, so that a manifest which held them
 * could be made by root and never be met by the agent, which has no such capability.
 */
export class XattrReader {
  /** Of the last read: 0, or the errno why it failed. */
  error = 0;
  readonly #list = new Pinned(LIST_BYTES);
  readonly #value = new Pinned(VALUE_BYTES);
  readonly #name = new Pinned(512);
  readonly #path = new Pinned(512);

  /** The attributes of the inode behind a descriptor. */
  ofDescriptor(descriptor: number): Uint8Array {
    this.error = 0;
    // Most files have none.
    if (flistxattr(descriptor, this.#list.address, FEW_BYTES) === 0) return NONE;
    return this.#read(
      (size) => flistxattr(descriptor, this.#list.address, size),
      (size) => fgetxattr(descriptor, this.#name.address, this.#value.address, size),
    );
  }

  /**
   * The attributes of the inode with this name (raw bytes) in an open directory, never through a link. There
   * is no such call relative to a descriptor before Linux 6.13, so the descriptor is named through procfs,
   * which leads to that very directory whatever its path is by now.
   */
  ofName(directory: number, name: string): Uint8Array {
    const { bytes, address } = this.#path;
    const length = bytes.write(`/proc/self/fd/${directory}/${name}`, 'latin1');
    bytes[length] = 0;
    return this.#read(
      (size) => llistxattr(address, this.#list.address, size),
      (size) => lgetxattr(address, this.#name.address, this.#value.address, size),
    );
  }

  /** Whether the inode with this name has an attribute; `error` is 0 then, or where it has none. */
  isOnName(directory: number, name: string, attribute: string): boolean {
    const path = this.#path.bytes;
    path[path.write(`/proc/self/fd/${directory}/${name}`, 'latin1')] = 0;
    this.#name.bytes[this.#name.bytes.write(attribute, 'latin1')] = 0;
    const length = lgetxattr(this.#path.address, this.#name.address, this.#value.address, VALUE_BYTES);
    const error = length < 0 ? errno() : 0;
    this.error = error === ENODATA || error === EOPNOTSUPP ? 0 : error;
    return length >= 0;
  }

  #read(list: Call, get: Call): Uint8Array {
    for (let tries = 1; ; tries += 1) {
      const length = upTo(LIST_BYTES, list);
      this.error = length < 0 ? errno() : 0;
      if (length === 0 || this.error === EOPNOTSUPP) {
        this.error = 0;
        return NONE;
      }
      if (this.error === 0) {
        const read = this.#values(this.#list.bytes.toString('latin1', 0, length - 1).split('\0'), get);
        if (read !== undefined) return read;
      }
      if (tries === TRIES || (this.error !== ENODATA && this.error !== ERANGE)) return NONE;
    }
  }

  #values(names: string[], get: Call): Uint8Array | undefined {
    const out = new Map<string, Buffer>();
    let bytes = 0;
    for (const name of names) {
      if (name.startsWith('trusted.')) continue;
      const end = this.#name.bytes.write(name, 'latin1');
      this.#name.bytes[end] = 0;
      const length = upTo(VALUE_BYTES, get);
      if (length < 0) {
        this.error = errno();
        return undefined;
      }
      bytes += name.length + length;
      if (bytes > MAX_XATTRS_BYTES) {
        // As the kernel says it where the names alone are too many.
        this.error = E2BIG;
        return undefined;
      }
      out.set(name, Buffer.from(this.#value.bytes.subarray(0, length)));
    }
    return out.size === 0 ? NONE : packXattrs(out);
  }
}
