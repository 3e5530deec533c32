// Run as another user by attacks.test.ts: checks a tree against a manifest and prints what was found.
import { readFileSync } from 'node:fs';

import { createTreeChecker } from '../../src/host/measure/check-tree.ts';
import { parseManifest } from '../../src/manifest/parse.ts';
import { rulesWith } from '../support/rules.ts';

const [root = '', manifestFile = ''] = process.argv.slice(2);
const checker = createTreeChecker({
  root,
  manifest: parseManifest(readFileSync(manifestFile)),
  rules: rulesWith({ mutable: ['/var'] }),
  bundleDigests: new Map(),
  workers: 1,
  now: () => new Date(),
});
const { findings } = await checker.full();
await checker.close();
console.log(JSON.stringify(findings.map(({ kind, path, actual }) => `${kind} ${path} ${actual}`)));
