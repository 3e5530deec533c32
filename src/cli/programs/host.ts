import { addAgentVerbs } from '../agent.ts';
import { addAskVerb } from '../ask.ts';
import { addInspectVerb } from '../inspect.ts';
import { addLogVerbs } from '../log.ts';
import type { CliProgram } from '../program.ts';
import { addStatusVerb } from '../status.ts';
import { addVerifyVerb } from '../verify.ts';

/** `sealborn` as it lies in an image: the agent, and what a person on the machine needs. It can sign nothing. */
export const HOST_PROGRAM: CliProgram = {
  name: 'sealborn',
  description:
    'Proves that nothing has changed on this machine since its release was signed, and answers authorization ' +
    'questions from that release.',
  start: 'sealborn status',
  configure: (program, context) => {
    addStatusVerb(program, context);
    addAskVerb(program, context);
    addLogVerbs(program, context);
    addVerifyVerb(program, context);
    addInspectVerb(program, context);
    addAgentVerbs(program, context);
  },
};
