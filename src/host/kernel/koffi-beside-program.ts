import { dirname, join } from 'node:path';

import type koffiPackage from 'koffi';

/**
 * koffi for the single executable, which has no node_modules: the build puts this file in the package's place.
 * The native part is `koffi.node` in the directory of the program itself (what /proc/self/exe names, past all
 * links), in an image therefore a measured file of root's; no variable and no working directory has a say.
 */
const loaded: { exports: unknown } = { exports: {} };
process.dlopen(loaded, join(dirname(process.execPath), 'koffi.node'));
const koffi: typeof koffiPackage = loaded.exports as typeof koffiPackage;
export default koffi;
