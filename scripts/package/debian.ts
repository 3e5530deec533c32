import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { HOST_PROGRAM } from '../../src/cli/programs/host.ts';
import { COLLECTOR_PROGRAM } from '../../src/cli/programs/collector.ts';
import type { CliProgram } from '../../src/cli/program.ts';
import { VERSION } from '../../src/base/version.ts';
import { project } from '../bundle.ts';
import type { Architecture } from './architecture.ts';
import { completionsOf } from './completions.ts';
import { copyrightOf } from './licenses.ts';
import { manualOf } from './manual.ts';
import { makeExecutable } from './single-executable.ts';
import { type Staging, createStaging } from './staging.ts';
import { verbsOf } from './verbs.ts';

export type PackageOptions = {
  name: 'sealborn' | 'sealborn-collector';
  architecture: Architecture;
  /** The directory that the package goes to. */
  out: string;
  /** Seconds since 1970 that everything in the package is dated (SOURCE_DATE_EPOCH). */
  epoch: number;
  /** xz's level, 0 to 9. */
  compression?: number;
};

const MAINTAINER = 'The sealborn maintainers <maintainers@users.noreply.r-seed-e329db84.example>';
/** Of docs/: what the agent's package brings. */
const DOCUMENTS = [
  'agent.md',
  'boot.md',
  'integrations/haproxy-health.md',
  'integrations/load-balancers.md',
  'threat-model.md',
];
/** What Node.js is linked to, with the versions of Debian that have the symbols it needs. */
const LIBRARIES = 'libatomic1 (>= 4.8), libc6 (>= 2.28), libgcc-s1 (>= 4.2), libstdc++6 (>= 5)';

const SUMMARY = {
  sealborn: 'proves that an immutable image is unchanged, and decides access',
  'sealborn-collector': 'shows what the machines of a sealborn fleet report',
} as const;

const DESCRIPTION = {
  sealborn: [
    'sealborn is the on-host agent of an immutable machine image. At boot it verifies a signed release and every',
    'file of the image; it answers authorization questions from that release on a local socket, fails its health',
    'check on any drift, and reports to a collector.',
  ],
  'sealborn-collector': [
    'The collector of sealborn receives the signed reports of a fleet of machines, verifies and keeps them, and',
    'shows each machine with its release, its state and what drifted.',
  ],
} as const;

/**
 * Makes one Debian package (deb(5)). The same sources, dependencies and date give the same bytes.
 * @returns its path
 */
export async function makePackage(options: PackageOptions): Promise<string> {
  const { name, architecture, out, epoch } = options;
  const work = mkdtempSync(join(tmpdir(), 'sealborn-package-'));
  try {
    const staging = createStaging(join(work, 'root'));
    await (name === 'sealborn' ? stageAgent : stageCollector)(staging, options);
    stageChangelog(staging, options);
    staging.copy(
      `usr/share/lintian/overrides/${name}`,
      project(`packaging/debian/${name}.lintian-overrides`),
    );
    stageControl(staging, options);
    staging.settle(epoch);
    mkdirSync(out, { recursive: true });
    const file = join(out, `${name}_${VERSION}_${architecture.debian}.deb`);
    execFileSync(
      'dpkg-deb',
      [
        '--root-owner-group',
        '-Zxz',
        `-z${options.compression ?? 6}`,
        '--threads-max=1', // more threads make other bytes
        '--build',
        staging.root,
        file,
      ],
      { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) } },
    );
    return file;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function stageAgent(staging: Staging, { architecture, epoch }: PackageOptions): Promise<void> {
  const parts = await makeExecutable({
    entry: 'src/main-host.ts',
    architecture,
    out: join(staging.root, 'usr/lib/sealborn/sealborn'),
    measures: true,
  });
  staging.link('usr/bin/sealborn', '../lib/sealborn/sealborn');
  staging.copy('etc/sealborn/agent.yaml', project('packaging/agent.yaml'));
  for (const unit of readdirSync(project('systemd'))) {
    if (unit.endsWith('.conf') || unit.startsWith('sealborn-collector')) continue;
    staging.copy(`usr/lib/systemd/system/${unit}`, project(`systemd/${unit}`));
  }
  staging.copy('usr/lib/systemd/system-preset/80-sealborn.preset', project('systemd/preset.conf'));
  staging.copy('usr/lib/sysusers.d/sealborn.conf', project('systemd/sysusers.conf'));
  staging.copy('usr/lib/tmpfiles.d/sealborn.conf', project('systemd/tmpfiles.conf'));
  staging.copy('usr/share/sealborn/haproxy/sealborn.lua', project('packaging/haproxy/sealborn.lua'));
  stageWords(staging, HOST_PROGRAM, epoch);
  const documents = 'usr/share/doc/sealborn';
  staging.write(`${documents}/copyright`, copyrightOf(parts, ['koffi']));
  for (const page of DOCUMENTS) {
    staging.copy(`${documents}/${page}`, project(`docs/${page}`));
  }
  const examples = project('packaging/examples');
  for (const file of readdirSync(examples, { recursive: true, encoding: 'utf8' })) {
    const stat = statSync(join(examples, file));
    if (!stat.isFile()) continue;
    // As git keeps it: executable or not.
    const mode = (stat.mode & 0o100) === 0 ? 0o644 : 0o755;
    staging.copy(`${documents}/examples/${file}`, join(examples, file), mode);
  }
}

async function stageCollector(staging: Staging, { architecture, epoch }: PackageOptions): Promise<void> {
  const parts = await makeExecutable({
    entry: 'src/main-collector.ts',
    architecture,
    out: join(staging.root, 'usr/bin/sealborn-collector'),
    measures: false,
  });
  staging.copy('etc/default/sealborn-collector', project('packaging/collector.default'));
  staging.copy(
    'usr/lib/systemd/system/sealborn-collector.service',
    project('systemd/sealborn-collector.service'),
  );
  stageWords(staging, COLLECTOR_PROGRAM, epoch);
  staging.write('usr/share/doc/sealborn-collector/copyright', copyrightOf(parts));
  staging.copy('usr/share/doc/sealborn-collector/collector.md', project('docs/collector.md'));
}

/** Manual pages and completions, from the command line itself. */
function stageWords(staging: Staging, cli: CliProgram, epoch: number): void {
  const verbs = verbsOf(cli);
  for (const [file, page] of manualOf(verbs, new Date(epoch * 1000).toISOString().slice(0, 10))) {
    staging.writeGzip(`usr/share/man/man1/${file}.gz`, page);
  }
  const { bash, zsh, fish } = completionsOf(verbs);
  staging.write(`usr/share/bash-completion/completions/${cli.name}`, bash);
  staging.write(`usr/share/zsh/vendor-completions/_${cli.name}`, zsh);
  staging.write(`usr/share/fish/vendor_completions.d/${cli.name}.fish`, fish);
}

function stageChangelog(staging: Staging, { name, epoch }: PackageOptions): void {
  const date = new Date(epoch * 1000).toUTCString().replace('GMT', '+0000');
  staging.writeGzip(
    `usr/share/doc/${name}/changelog.gz`,
    `sealborn (${VERSION}) unstable; urgency=medium\n\n  * ${VERSION}: see CHANGELOG.md of the sources.\n\n -- ${MAINTAINER}  ${date}\n`,
  );
}

function stageControl(staging: Staging, { name, architecture }: PackageOptions): void {
  const isAgent = name === 'sealborn';
  const size = staging.kilobytes();
  const sums = staging.md5sums();
  staging.write(
    'DEBIAN/control',
    [
      `Package: ${name}`,
      `Version: ${VERSION}`,
      `Architecture: ${architecture.debian}`,
      `Maintainer: ${MAINTAINER}`,
      `Installed-Size: ${size}`,
      `Depends: ${LIBRARIES}, init-system-helpers (>= 1.62)${isAgent ? ', systemd (>= 252)' : ''}`,
      ...(isAgent ? ['Suggests: tpm2-tools'] : []),
      'Section: admin',
      'Priority: optional',
      `Description: ${SUMMARY[name]}`,
      ...wrapped(DESCRIPTION[name].join(' ')),
      '',
    ].join('\n'),
  );
  staging.write('DEBIAN/md5sums', sums);
  staging.write(
    'DEBIAN/conffiles',
    isAgent ? '/etc/sealborn/agent.yaml\n' : '/etc/default/sealborn-collector\n',
  );
  for (const script of ['postinst', 'prerm', 'postrm']) {
    staging.write(`DEBIAN/${script}`, readFileSync(project(`packaging/debian/${name}.${script}`)), 0o755);
  }
}

/** Lines of at most 78 characters, with the space before each that a control file wants. */
function wrapped(words: string): string[] {
  return (words.match(/.{1,76}(?:\s|$)/g) ?? []).map((line) => ` ${line.trim()}`);
}
