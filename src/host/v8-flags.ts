/**
 * The flags of V8 that the executables run with, and the halves that `sealborn run` starts. The agent asks for a
 * collection after it loaded (src/host/kernel/release-memory.ts). And where V8 holds up to 16 MB of short-lived objects three times over, 8 MB take
 * 45 MB off the peak of loading 100,000 entities, and no time (bench:decide).
 */
export const V8_FLAGS: readonly string[] = ['--expose-gc', '--max-semi-space-size=8'];
