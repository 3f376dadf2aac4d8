/** The commands of the command line, declared but not run: --help and the reference in docs/ read the same tables. */
import { Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import type { AddCommand, RecomputeContext } from './command.ts';
import { addCompare } from './commands/compare.ts';
import { addDaemon } from './commands/daemon.ts';
import { addData } from './commands/data.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEngine } from './commands/engine.ts';
import { addEstimate } from './commands/estimate.ts';
import { addEvaluate } from './commands/evaluate.ts';
import { addExplain } from './commands/explain.ts';
import { addExport } from './commands/export.ts';
import { addFindLr } from './commands/find-lr.ts';
import { addGenerate } from './commands/generate.ts';
import { addGraph } from './commands/graph.ts';
import { addImportance } from './commands/importance.ts';
import { addInit } from './commands/init.ts';
import { addLanguageServer } from './commands/language-server.ts';
import { addLint } from './commands/lint.ts';
import { addMcp } from './commands/mcp.ts';
import { addMetrics } from './commands/metrics.ts';
import { addPush } from './commands/push.ts';
import { addReproduce } from './commands/reproduce.ts';
import { addResume } from './commands/resume.ts';
import { addRuns } from './commands/runs.ts';
import { addSchema } from './commands/schema.ts';
import { addServe } from './commands/serve.ts';
import { addSweep } from './commands/sweep.ts';
import { addTrain } from './commands/train.ts';
import { addVerify } from './commands/verify.ts';
import { addUsageHints } from './usage-hints.ts';

/** The commands in the order in which --help lists them. */
const commands: readonly AddCommand[] = [
  addInit,
  addTrain,
  addResume,
  addSweep,
  addFindLr,
  addImportance,
  addEstimate,
  addLint,
  addData,
  addExplain,
  addSchema,
  addEvaluate,
  addGenerate,
  addServe,
  addExport,
  addPush,
  addVerify,
  addReproduce,
  addRuns,
  addMetrics,
  addCompare,
  addDaemon,
  addDoctor,
  addEngine,
  addGraph,
  addMcp,
  addLanguageServer,
];

export function declareProgram(surroundings: RecomputeContext): Command {
  const program = new Command('rowtune')
    .description('Fine-tune real models by training a few rows or columns of each weight in place.')
    .version(manifest.version)
    .showHelpAfterError('(--help shows the usage)')
    .addHelpText('after', '\nExit status: 0 done, 1 failed, 2 bad recipe or usage, 130 aborted.');
  for (const add of commands) add(program, surroundings);
  addUsageHints(program);
  return program;
}
