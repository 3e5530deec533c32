// Run as a process by decision-log.test.ts: logs decisions as fast as it can until it is killed, and prints the
// number of the last line that it was told is safe.
import { startDecisionLog } from '../../src/agent/decide/decision-log.ts';
import { parseSettings } from '../../src/agent/settings.ts';
import { SILENT_LOG } from '../../src/host/log/log.ts';

const log = await startDecisionLog({
  settings: parseSettings(
    Buffer.from(
      `logDirectory: ${process.argv[2] ?? ''}\ndecisionLog: {syncMilliseconds: 5, fileMegabytes: 0.5}`,
    ),
    'agent.yaml',
  ),
  release: undefined,
  log: SILENT_LOG,
  now: () => new Date(),
});
let said = 0;
setInterval(() => {
  for (let index = 0; index < 50; index += 1) {
    log.account({
      question: {
        subject: { type: 'User', id: 'ana' },
        action: { name: 'Read' },
        resource: { type: 'Doc', id: String(index) },
      },
      answer: { decision: true, context: { reason: 'permit', policies: [], decisionId: String(index) } },
      asked: { via: 'http', client: 'unix:uid=0,gid=0,pid=1' },
      seconds: 0,
    });
  }
  const head = log.head();
  if (head !== undefined && head.seq !== said) process.stdout.write(`${JSON.stringify(head)}\n`);
  said = head?.seq ?? 0;
}, 1);
