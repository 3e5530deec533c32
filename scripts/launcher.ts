/**
 * The text of `dist/sealborn.js`: starts the program beside it, which an old Node.js can't even parse, or says what is
 * wrong. Written so that any Node.js that has modules can read it. `needed` is `24.12`, say.
 */
export function launcher(needed: string): string {
  const [major = '', minor = ''] = needed.split('.');
  return `#!/usr/bin/env node
const [major, minor] = process.versions.node.split('.').map(Number);
if (major > ${major} || (major === ${major} && minor >= ${minor})) {
  await import('./program.js');
} else {
  console.error(
    'sealborn: error: this is Node.js ' + process.versions.node + '; it takes ${needed} or newer [node-too-old]\\n' +
      'hint: "npm ci" has put one into node_modules: "node_modules/.bin/node dist/sealborn.js".',
  );
  process.exitCode = 69;
}
`;
}
