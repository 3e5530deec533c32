/**
 * Run after every change of dependencies: `node scripts/tidy-lock.ts`. Drops from package-lock.json the optional
 * dependencies that the lock file has no entry for: bindings for platforms that a registry does not serve. npm
 * leaves them out when it writes the lock file, and `npm ci` then refuses that same file as out of step.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

type Package = { optionalDependencies?: Record<string, string> };

const file = fileURLToPath(new URL('../package-lock.json', import.meta.url));
const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Package> };
let dropped = 0;
for (const [place, entry] of Object.entries(lock.packages)) {
  const optional = entry.optionalDependencies;
  if (optional === undefined || place === '') continue;
  for (const name of Object.keys(optional)) {
    const has = `node_modules/${name}` in lock.packages || `${place}/node_modules/${name}` in lock.packages;
    if (has) continue;
    delete optional[name];
    dropped += 1;
  }
}
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`${dropped} optional dependencies without an entry dropped\n`);
