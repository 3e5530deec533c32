// node measure-usr.mjs sealborn.yaml: measures /usr alone, since a container engine puts files into /etc, /dev and /run.
import { readFileSync, writeFileSync } from 'node:fs';

const [file = ''] = process.argv.slice(2);
const before = readFileSync(file, 'utf8');
const after = before.replace(/^measure:\n(?:[ #].*\n|\n)*/m, 'measure:\n  roots: [/usr]\n\n');
if (after === before) throw new Error(`${file} has no section "measure"`);
writeFileSync(file, after);
