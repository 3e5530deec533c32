import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { CREDENTIAL_REFUSALS, REQUEST_REFUSALS } from '../../src/access/refusal.ts';
import { DECISION_REASONS } from '../../src/agent/metrics.ts';

/** The codes in the first column of the table whose head begins so, with the text of their row. */
function tableOf(file: string, head: string): Map<string, string> {
  const text = readFileSync(fileURLToPath(new URL(`../../docs/${file}`, import.meta.url)), 'utf8');
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.startsWith(`| ${head} `));
  const rows = new Map<string, string>();
  for (const line of lines.slice(start + 2)) {
    if (!line.startsWith('|')) break;
    const [, first = '', ...rest] = line.split('|');
    for (const [, code = ''] of first.matchAll(/`([^`]+)`/g)) rows.set(code, rest.join('|').trim());
  }
  return rows;
}

const sorted = (codes: Iterable<string>): string[] => [...codes].sort();

describe('the reasons in the documents', () => {
  it('are those that the agent gives: docs/agent.md', () => {
    expect(sorted(tableOf('agent.md', '`reason`').keys())).toEqual(sorted(DECISION_REASONS));
  });

  it('are those that proxies get, each with its status: docs/integrations', () => {
    const rows = tableOf('integrations/README.md', '`x-sealborn-reason`');
    expect(sorted(rows.keys())).toEqual(
      sorted([...DECISION_REASONS, ...CREDENTIAL_REFUSALS, ...REQUEST_REFUSALS]),
    );
    for (const code of CREDENTIAL_REFUSALS) expect(rows.get(code)).toMatch(/^401 /);
    for (const code of REQUEST_REFUSALS) expect(rows.get(code)).toMatch(/^403 /);
  });

  it("are those that the client's answers have: docs/client.md", () => {
    const own = ['unavailable', 'request-refused'];
    expect(sorted(tableOf('client.md', '`context.reason`').keys())).toEqual(
      sorted([...DECISION_REASONS, ...own]),
    );
  });
});
