import { collectorWords, configureCollector } from '../collector.ts';
import type { CliProgram } from '../program.ts';
import { describeVerb } from '../verb.ts';

const NAME = 'sealborn-collector';
const WORDS = collectorWords(NAME);

/** `sealborn-collector`: the collector without a verb before its flags. */
export const COLLECTOR_PROGRAM: CliProgram = {
  name: NAME,
  description: WORDS.description,
  start: `${NAME} --database fleet.db`,
  configure: (program, context) => {
    configureCollector(describeVerb(program, WORDS), context);
  },
};
