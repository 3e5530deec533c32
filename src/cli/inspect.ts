import type { Command } from 'commander';

import type { MountRule } from '../base/mount-rules.ts';
import type { MutableArea } from '../base/mutable-rules.ts';
import type { Inspection } from '../release/inspect-bundle.ts';
import { EXIT } from './exit-codes.ts';
import { type Terminal, formatBytes, formatCount, labelled } from './terminal.ts';
import { type CliContext, action, addVerb, printJson } from './verb.ts';

/** `sealborn inspect <bundle>` */
export function addInspectVerb(program: Command, context: CliContext): void {
  addVerb(program, 'inspect', {
    summary: 'show what a bundle says, without verifying it',
    description:
      'Shows the release, its source, its measure rules, its signatures and its files. Nothing shown is verified: ' +
      '"sealborn verify" does that.',
    examples: ['sealborn inspect out/bundle', 'sealborn inspect out/bundle --json | jq .release'],
    exits: [`${EXIT.good}   shown`, `${EXIT.refused}   it can't be read as a bundle`],
  })
    .argument('<bundle>', 'the directory of the bundle')
    .action(
      action<{ json?: true }, [string]>(context, async (options, bundle) => {
        const { inspectBundle } = await import('../release/inspect-bundle.ts');
        const inspection = await inspectBundle(bundle);
        const { terminal } = context;
        if (options.json === true) printJson(terminal, { verified: false, ...inspection });
        else terminal.out(describe(inspection, terminal));
        return EXIT.good;
      }),
    );
}

function describe(inspection: Inspection, { outStyle }: Terminal): string {
  const { release, predicate, manifest, policy, access } = inspection;
  const { source, tests, measure, decisionLog } = predicate;
  const signatures = inspection.signatures.map(({ claimedKey }) => claimedKey ?? 'a key it does not name');
  const rows: [string, string][] = [
    ['release', `${release.name} ${release.version} (sequence ${release.sequence})`],
    ['environment', release.environment],
    ['digest', release.digest],
    ['commit', `${source.commit}${source.dirty ? ' with uncommitted changes' : ''}`],
    ['source', source.uri === '' ? '(not given)' : source.uri],
    ['built', `${predicate.builtAt} by ${predicate.builder}`],
    ['tests', `${formatCount(tests.passed)} of ${formatCount(tests.total)} passed`],
    [
      'policy',
      'error' in policy
        ? `unreadable: ${policy.error}`
        : `${formatCount(policy.policies)} policies, ${formatCount(policy.entities)} entities`,
    ],
    ['access', describeAccess(access)],
    [
      'manifest',
      'error' in manifest
        ? `unreadable: ${manifest.error}`
        : `${formatCount(manifest.entries)} entries, ${formatCount(manifest.files)} files, ${formatBytes(manifest.bytes)}`,
    ],
    ['measured', measure.roots.join(' ')],
    ['mutable', measure.mutable.length === 0 ? '(nothing)' : measure.mutable.map(describeArea).join(' ')],
    [
      'mutable files',
      measure.mutableFiles.length === 0
        ? '(none)'
        : measure.mutableFiles.map(({ path, mode }) => `${path} ${mode}`).join(' '),
    ],
    ['mounts', measure.mounts.length === 0 ? '(none)' : measure.mounts.map(describeRule).join('; ')],
    ['extensions', measure.extensions.length === 0 ? '(none)' : measure.extensions.join(' ')],
    ['absent', measure.absent.length === 0 ? '(nothing)' : measure.absent.join(' ')],
    ['bundle at', measure.bundle],
    ['log full', decisionLog.whenFull],
    ['log masks', decisionLog.mask.length === 0 ? '(nothing)' : decisionLog.mask.join(' ')],
  ];
  const files = inspection.files.map(({ name, bytes, sha256, matches }): [string, string] => [
    name,
    `${sha256.slice(0, 16)}…  ${formatBytes(bytes)}${matches === false ? '  NOT the file that the release names' : ''}`,
  ]);
  const claims =
    signatures.length === 0
      ? [['signature', 'none: unsigned'] as const]
      : signatures.map((id) => ['signature', `claims key ${id}`] as const);
  return (
    labelled([...rows, ...claims, ...files], outStyle) +
    `${outStyle.warn('not verified')}: run "sealborn verify" with a trust set\n`
  );
}

function describeArea({ path, allow }: MutableArea): string {
  return allow.length === 0 ? path : `${path} (may hold ${allow.join(', ')})`;
}

function describeRule({ path, types, require, forbid, optional }: MountRule): string {
  const words = [path, types.join('|'), ...require, ...forbid.map((option) => `not ${option}`)];
  return [...words, optional ? '(optional)' : ''].filter((word) => word !== '').join(' ');
}

function describeAccess(access: Inspection['access']): string {
  if ('error' in access) return `unreadable: ${access.error}`;
  const { proxies, routes, apiKeys } = access;
  if (proxies.length + routes.length + apiKeys.length === 0) return '(no proxy may ask)';
  return `${formatCount(routes.length)} routes, ${formatCount(apiKeys.length)} API keys, proxies ${proxies.join(' ')}`;
}
