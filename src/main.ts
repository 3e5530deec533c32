import { runCli } from './cli/program.ts';
import { PIPELINE_PROGRAM } from './cli/programs/pipeline.ts';

process.exitCode = await runCli(PIPELINE_PROGRAM, process.argv.slice(2));
