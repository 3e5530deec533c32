import { onTestFinished } from 'vitest';

import { type DecisionLog, startDecisionLog } from '../../src/agent/decide/decision-log.ts';
import type { Answer, Decided } from '../../src/agent/decide/decider.ts';
import { parseSettings } from '../../src/agent/settings.ts';
import type { DecisionLogRules } from '../../src/base/decision-log-rules.ts';
import { parseJson } from '../../src/base/json.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';
import { parseEvaluation } from '../../src/policy/authzen.ts';
import { RELEASE } from '../attestation/hosts.ts';

/** A decision log in a directory, for the life of a test. */
export async function startLog(
  directory: string,
  rules: Partial<DecisionLogRules> | null = {},
  yaml = 'syncMilliseconds: 1',
): Promise<DecisionLog> {
  const log = await startDecisionLog({
    settings: parseSettings(
      Buffer.from(`logDirectory: ${directory}\nlabels: {role: web}\ndecisionLog: {${yaml}}`),
      'agent.yaml',
    ),
    release: rules === null ? undefined : { id: RELEASE, rules: { whenFull: 'block', mask: [], ...rules } },
    log: SILENT_LOG,
    now: () => new Date(),
  });
  onTestFinished(() => log.close());
  return log;
}

let ids = 0;
/** A decision of its own id. */
export function decided(context: object = {}, change: Partial<Answer['context']> = {}): Decided {
  ids += 1;
  const body = JSON.stringify({
    subject: { type: 'User', id: 'ana' },
    action: { name: 'ReadDocument' },
    resource: { type: 'Document', id: 'd1', properties: { owner: 'bo' } },
    context,
  });
  return {
    question: parseEvaluation(parseJson(body, 'test', { maxBytes: 10e6 })),
    answer: {
      decision: true,
      context: {
        reason: 'permit',
        policies: [{ id: 'read', file: 'policies/documents.cedar', line: 3 }],
        release: { name: RELEASE.name, version: RELEASE.version, commit: RELEASE.commit },
        decisionId: `00000000-0000-4000-8000-${String(ids).padStart(12, '0')}`,
        ...change,
      },
    },
    asked: { via: 'http', client: 'unix:uid=33,gid=33,pid=812', requestId: 'r1' },
    seconds: 0.000_001_5,
  };
}
