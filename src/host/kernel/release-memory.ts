import { readFileSync } from 'node:fs';

import { messageOf } from '../../base/errors.ts';
import type { Log } from '../log/log.ts';

/** From <sys/mman.h>. */
const MADV_DONTNEED = 4;

/** Part of the address space: its first byte, and how many there are. */
export type Mapping = { start: bigint; bytes: bigint };

/** What glibc has for it, bound when it is first needed: a command that never gives memory back does not load koffi. */
type Libc = {
  trim: (keep: number) => number;
  advise: (start: bigint, bytes: bigint, advice: number) => number;
};
let libc: Promise<Libc> | undefined;

/**
 * Gives memory back that loading a release or a first measurement left behind: V8 would keep it until it needs
 * the room, and an agent that idles needs none. Takes some ten milliseconds, so it is for after such work alone.
 * V8 collects where the program was started with --expose-gc, as the single executable is; glibc returns what
 * it can (malloc_trim(3)); and pages of the program and its libraries that starting needed and running does not, 20
 * to 30 MB of the executable, go back to the page cache, where what is needed again is found (madvise(2)). Where that
 * fails, the log hears of it; a command without one goes on as it is.
 */
export async function releaseMemory(log?: Log): Promise<void> {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  try {
    const { trim, advise } = await (libc ??= bindLibc());
    trim(0);
    for (const { start, bytes } of pagesOfFiles(readFileSync('/proc/self/smaps', 'latin1'))) {
      advise(start, bytes, MADV_DONTNEED);
    }
  } catch (cause) {
    log?.warn({ code: 'memory-kept' }, `memory was not given back: ${messageOf(cause)}`); // another libc
  }
}

async function bindLibc(): Promise<Libc> {
  const { default: koffi } = await import('koffi');
  const library = koffi.load(null);
  return {
    trim: library.func('int malloc_trim(size_t)'),
    advise: library.func('int madvise(uintptr_t, size_t, int)'),
  };
}

/**
 * What of smaps (proc_pid_smaps(5)) holds just what a file holds, and so can be dropped and read again: mapped from a
 * file, not writable, and without a page of the process's own, such as the linker's relocations are.
 */
export function pagesOfFiles(smaps: string): Mapping[] {
  const found: Mapping[] = [];
  const heads =
    /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ [1-9][0-9]* [^]*?^Anonymous: +(\d+) kB$/gm;
  for (const [, from, to, own] of smaps.matchAll(heads)) {
    const start = BigInt(`0x${from ?? ''}`);
    if (own === '0') found.push({ start, bytes: BigInt(`0x${to ?? ''}`) - start });
  }
  return found;
}
