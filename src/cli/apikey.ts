import type { Command } from 'commander';

import { formatUid, parseEntityUid } from '../base/entity-uid.ts';
import type { Problem } from '../base/shape.ts';
import { EXIT } from './exit-codes.ts';
import { UsageError } from './failure.ts';
import { labelled } from './terminal.ts';
import { type CliContext, action, addVerb, printJson, wholeNumber } from './verb.ts';

type ApiKeyFlags = { json?: true; subject: string; days?: number };

/** `sealborn apikey new` */
export function addApiKeyVerbs(program: Command, context: CliContext): void {
  const apikey = program
    .command('apikey')
    .summary('make API keys for programs that call yours')
    .description('Make API keys for programs that call yours through a proxy.');
  addVerb(apikey, 'new', {
    summary: 'make an API key: show it once, and its hash to commit',
    description:
      'Makes a key of 256 random bits and prints it, this once: it is stored nowhere. Also prints the lines for a ' +
      'file of access/ in the policy repository, with the hash of the key. The key works from the first release ' +
      'that has them. To revoke it, add "revoked: true" there and build a release.',
    examples: [
      'sealborn apikey new checkout-web-1 --subject ServiceAccount::checkout-web --days 365',
      'sealborn apikey new checkout-web-1 --subject ServiceAccount::checkout-web --json | jq -r .key',
    ],
    exits: [`${EXIT.good}   made`],
  })
    .argument('<id>', 'what to call it: letters, digits and ._:-')
    .requiredOption(
      '--subject <entity>',
      'whose it is, an entity of the repository such as ServiceAccount::shop',
    )
    .option('--days <number>', 'days until it expires; without it, it never does', wholeNumber(1, 36_500))
    .action(
      action<ApiKeyFlags, [string]>(context, async (options, id) => {
        const { apiKeyShape } = await import('../access/identity-shapes.ts');
        const { newApiKey } = await import('../access/api-key.ts');
        const { key, sha256 } = newApiKey();
        const subject = parseEntityUid(options.subject);
        if (subject === undefined) {
          throw new UsageError(
            `the subject "${options.subject}" is not of the form Type::id`,
            'For example: ServiceAccount::shop',
          );
        }
        const expires = options.days === undefined ? undefined : expiryAfter(options.days, new Date());
        const entry = {
          id,
          subject: formatUid(subject),
          sha256,
          ...(expires === undefined ? {} : { expires }),
        };
        const problems: Problem[] = [];
        apiKeyShape(entry, [], problems);
        if (problems.length > 0) throw new UsageError(`the id "${id}" ${problems[0]?.message ?? ''}`);
        const { terminal } = context;
        if (options.json === true) {
          printJson(terminal, { key, entry });
          return EXIT.good;
        }
        terminal.out(labelled([['key', key]], terminal.outStyle));
        terminal.out(`\nGive it to the client now: it is shown this once. Into a file of access/ goes:\n\n`);
        terminal.out(yamlOf(entry));
        return EXIT.good;
      }),
    );
}

function expiryAfter(days: number, now: Date): string {
  return `${new Date(now.getTime() + days * 86_400_000).toISOString().slice(0, 19)}Z`;
}

/** The entry as a person would write it; a subject in single quotes keeps its double ones. */
function yamlOf({
  id,
  subject,
  ...rest
}: {
  id: string;
  subject: string;
  sha256: string;
  expires?: string;
}): string {
  // Of what could be read as a number, say, YAML must be told that it is text.
  const isPlain = /^[A-Za-z][\w.-]*$/.test(id) && !/^(?:true|false|null)$/i.test(id);
  const lines = [
    `- id: ${isPlain ? id : `'${id}'`}`,
    `  subject: '${subject.replaceAll("'", "''")}'`,
    `  sha256: ${rest.sha256}`,
  ];
  if (rest.expires !== undefined) lines.push(`  expires: ${rest.expires}`);
  return ['apiKeys:', ...lines.map((line) => `  ${line}`), ''].join('\n');
}
