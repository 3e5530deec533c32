import { messageOf } from '../base/errors.ts';
import type { Log } from './log.ts';

/**
 * Gives memory back that loading a release or a first measurement left behind: V8 would keep it until it needs
 * the room, and an agent that idles needs none. Takes some ten milliseconds, so it is for after such work alone.
 * V8 collects where the program was started with --expose-gc, as the single executable is; glibc returns what
 * it can (malloc_trim(3)). Where that fails, the log hears of it; a command without one goes on as it is.
 */
export async function releaseMemory(log?: Log): Promise<void> {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  try {
    const { default: koffi } = await import('koffi');
    koffi.load(null).func('int malloc_trim(size_t)')(0);
  } catch (cause) {
    log?.warn({ code: 'memory-kept' }, `memory was not given back: ${messageOf(cause)}`); // a libc without it
  }
}
