/**
 * Where the entry of the hashing threads lies: beside this file, as TypeScript in the source tree and as
 * JavaScript in the built program, whose bundler writes it as `hash-worker.js` next to the main file.
 */
export function hashWorkerUrl(): URL {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`./hash-worker.${extension}`, import.meta.url);
}
