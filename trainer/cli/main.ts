/** The command line's entry: reads the surroundings once, declares the commands, and turns a wrong usage into exit status 2. */
import os from 'node:os';
import { Command, CommanderError } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { resolveSettings } from '../settings.ts';
import { EXIT } from './cli-error.ts';
import type { AddCommand } from './command.ts';
import { addDaemon } from './commands/daemon.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEngine } from './commands/engine.ts';
import { addEstimate } from './commands/estimate.ts';
import { addEvaluate } from './commands/evaluate.ts';
import { addExport } from './commands/export.ts';
import { addGenerate } from './commands/generate.ts';
import { addGraph } from './commands/graph.ts';
import { addImportance } from './commands/importance.ts';
import { addLint } from './commands/lint.ts';
import { addReproduce } from './commands/reproduce.ts';
import { addResume } from './commands/resume.ts';
import { addRuns } from './commands/runs.ts';
import { addTrain } from './commands/train.ts';
import { addVerify } from './commands/verify.ts';

/** In the order in which --help lists them. */
const commands: readonly AddCommand[] = [
  addTrain,
  addResume,
  addImportance,
  addEstimate,
  addLint,
  addEvaluate,
  addGenerate,
  addExport,
  addVerify,
  addReproduce,
  addRuns,
  addDaemon,
  addDoctor,
  addEngine,
  addGraph,
];

const program = new Command('rowtune')
  .description('Fine-tune real models by training only the rows that matter.')
  .version(manifest.version)
  .showHelpAfterError('(--help shows the usage)')
  .addHelpText('after', '\nExit status: 0 done, 1 failed, 2 bad recipe or usage, 130 aborted.');
const settings = resolveSettings({ env: process.env, platform: process.platform, home: os.homedir() });
for (const add of commands) add(program, { settings, cwd: process.cwd() });
throwOnExit(program);

// A reader that goes away (`| head`) is no fault.
process.stdout.on('error', error => {
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  process.exit(EXIT.ok);
});

// There is nobody to tell what a reader of stderr that went away has missed; the command goes on.
process.stderr.on('error', () => undefined);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (process.exitCode === EXIT.usage && process.argv.includes('--json'))
    process.stdout.write(`${JSON.stringify({ ok: false, error: { code: 'usage', message: error.message } })}\n`);
}

/** commander would end the process itself, with its own status. */
function throwOnExit(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwOnExit(child);
}
