import { runCli } from './cli/program.ts';
import { COLLECTOR_PROGRAM } from './cli/programs/collector.ts';

// Not awaited at the top: the single executable is CommonJS, which loads Node's modules only when they are used.
void runCli(COLLECTOR_PROGRAM, process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode;
});
