import { addAgentVerbs } from '../agent.ts';
import { addApiKeyVerbs } from '../apikey.ts';
import { addAskVerb } from '../ask.ts';
import { addBuildVerb } from '../build.ts';
import { addCollectorVerb } from '../collector.ts';
import { addInspectVerb } from '../inspect.ts';
import { addLogVerbs } from '../log.ts';
import { addKeyVerbs } from '../key.ts';
import type { CliProgram } from '../program.ts';
import { addSignVerb } from '../sign.ts';
import { addStatusVerb } from '../status.ts';
import { addTestVerb } from '../test.ts';
import { addTrustVerbs } from '../trust.ts';
import { addVerifyVerb } from '../verify.ts';

/** `sealborn` as npm builds it, for a pipeline and for trying things: every verb there is. */
export const PIPELINE_PROGRAM: CliProgram = {
  name: 'sealborn',
  description:
    'Makes the access rules and files of a machine image one signed release, and proves on every instance ' +
    'that nothing has changed since.',
  start: 'sealborn key new release; sealborn build --help',
  configure: (program, context) => {
    addKeyVerbs(program, context);
    addTrustVerbs(program, context);
    addApiKeyVerbs(program, context);
    addTestVerb(program, context);
    addBuildVerb(program, context);
    addSignVerb(program, context);
    addInspectVerb(program, context);
    addVerifyVerb(program, context);
    addAgentVerbs(program, context);
    addStatusVerb(program, context);
    addAskVerb(program, context);
    addLogVerbs(program, context);
    addCollectorVerb(program, context);
  },
};
