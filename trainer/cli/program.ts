/** The commands of the command line, declared but not run: --help and the reference in docs/ read the same tables. */
import { Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import type { AddCommand, Surroundings } from './command.ts';
import { addUsageHints } from './usage-hints.ts';

/** The commands in the order in which --help lists them. Each is loaded on its own, because all of them take most of a second. */
const commands: Readonly<Record<string, () => Promise<AddCommand>>> = {
  init: async () => (await import('./commands/init.ts')).addInit,
  train: async () => (await import('./commands/train.ts')).addTrain,
  resume: async () => (await import('./commands/resume.ts')).addResume,
  sweep: async () => (await import('./commands/sweep.ts')).addSweep,
  'find-lr': async () => (await import('./commands/find-lr.ts')).addFindLr,
  importance: async () => (await import('./commands/importance.ts')).addImportance,
  estimate: async () => (await import('./commands/estimate.ts')).addEstimate,
  lint: async () => (await import('./commands/lint.ts')).addLint,
  data: async () => (await import('./commands/data.ts')).addData,
  explain: async () => (await import('./commands/explain.ts')).addExplain,
  schema: async () => (await import('./commands/schema.ts')).addSchema,
  evaluate: async () => (await import('./commands/evaluate.ts')).addEvaluate,
  generate: async () => (await import('./commands/generate.ts')).addGenerate,
  serve: async () => (await import('./commands/serve.ts')).addServe,
  export: async () => (await import('./commands/export.ts')).addExport,
  push: async () => (await import('./commands/push.ts')).addPush,
  verify: async () => (await import('./commands/verify.ts')).addVerify,
  reproduce: async () => (await import('./commands/reproduce.ts')).addReproduce,
  runs: async () => (await import('./commands/runs.ts')).addRuns,
  metrics: async () => (await import('./commands/metrics.ts')).addMetrics,
  compare: async () => (await import('./commands/compare.ts')).addCompare,
  daemon: async () => (await import('./commands/daemon.ts')).addDaemon,
  doctor: async () => (await import('./commands/doctor.ts')).addDoctor,
  engine: async () => (await import('./commands/engine.ts')).addEngine,
  graph: async () => (await import('./commands/graph.ts')).addGraph,
  mcp: async () => (await import('./commands/mcp.ts')).addMcp,
  'language-server': async () => (await import('./commands/language-server.ts')).addLanguageServer,
};

/** Flags that the program answers without any command. */
const VERSION_FLAGS = '-V, --version';

/** @param asked the first word of the command line, of which only its command is declared; undefined or another word declares all commands */
export async function declareProgram(surroundings: Surroundings, asked?: string): Promise<Command> {
  const program = new Command('rowtune')
    .description('Fine-tune real models by training a few rows or columns of each weight in place.')
    .version(manifest.version, VERSION_FLAGS)
    .showHelpAfterError('(--help shows the usage)')
    .addHelpText('after', '\nExit status: 0 done, 1 failed, 2 bad recipe or usage, 130 aborted.');
  for (const add of await Promise.all(loadsFor(asked).map(load => load()))) add(program, surroundings);
  addUsageHints(program);
  return program;
}

function loadsFor(asked = ''): readonly (() => Promise<AddCommand>)[] {
  if (VERSION_FLAGS.split(', ').includes(asked)) return [];
  const load = Object.hasOwn(commands, asked) ? commands[asked] : undefined;
  return load ? [load] : Object.values(commands);
}
