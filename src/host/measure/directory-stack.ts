import { OPEN_DIRECTORY, close, errno, openat } from '../kernel/linux.ts';

/** Descriptors held at once; a tree nested deeper is walked by opening the upper levels again. */
const MAX_HELD = 64;

/**
 * The way from the root to a directory as open descriptors. Each is opened by name inside the one before and
 * never through a link, so that what is looked at lies where its path says, however deep: no path is resolved
 * as a whole, and none is too long.
 */
export class DirectoryStack {
  readonly #nameAddress: (index: number) => number;
  readonly #index: number[] = [0];
  readonly #descriptor: number[];

  /** `root` stays the caller's; `nameAddress` gives where a directory's NUL-terminated name stands. */
  constructor(root: number, nameAddress: (index: number) => number) {
    this.#nameAddress = nameAddress;
    this.#descriptor = [root];
  }

  /** The directory that stands on top. */
  get top(): number {
    return this.#index.at(-1) ?? 0;
  }

  /** Opens directory `index` inside the top and puts it on top: 0, or the errno, and then nothing changed. */
  push(index: number): number {
    const within = this.descriptor();
    if (within < 0) return -within;
    const opened = openat(within, this.#nameAddress(index), OPEN_DIRECTORY);
    if (opened < 0) return errno();
    this.#index.push(index);
    this.#descriptor.push(opened);
    const old = this.#index.length - 1 - MAX_HELD;
    if (old > 0) this.#release(old);
    return 0;
  }

  /** Takes the top away; the root stays. */
  pop(): void {
    this.#release(this.#index.length - 1);
    this.#index.pop();
    this.#descriptor.pop();
  }

  /** Takes away all but the root. */
  clear(): void {
    while (this.#index.length > 1) this.pop();
  }

  /** The descriptor of the top, opened again from the root where it had to be let go; or minus the errno. */
  descriptor(): number {
    const last = this.#descriptor.length - 1;
    const held = this.#descriptor[last] ?? -1;
    if (held >= 0) return held;
    const root = this.#descriptor[0] ?? -1;
    let within = root;
    for (let i = 1; i <= last; i += 1) {
      const opened = openat(within, this.#nameAddress(this.#index[i] ?? 0), OPEN_DIRECTORY);
      const error = opened < 0 ? errno() : 0;
      if (within !== root) close(within);
      if (error > 0) return -error;
      within = opened;
    }
    this.#descriptor[last] = within;
    return within;
  }

  #release(position: number): void {
    const held = this.#descriptor[position] ?? -1;
    if (position === 0 || held < 0) return;
    close(held);
    this.#descriptor[position] = -1;
  }
}
