/** `rowtune sweep`: trains a recipe once for each choice of values, and compares the runs. */

import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { writeTextFile } from '../../files/durable-file.ts';
import { makeFolder } from '../../files/durable-folder.ts';
import { whyNotWritable } from '../../files/output-place.ts';
import { type SweepStatus, sweepCsv } from '../../protocol/run/sweep.ts';
import { shellWord } from '../../protocol/text/shell-word.ts';
import { requireUsableOutput } from '../../run/begin-run.ts';
import { freeSweepFolder } from '../../run/free-run-folder.ts';
import { isSweepFolder } from '../../run/sweep-folder.ts';
import { readSweep } from '../../sweep/sweep-status.ts';
import { checkResult, requireFinishedRun } from '../check-result.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { connectIfRunning } from '../daemon/daemon-client.ts';
import { detachTraining, type TrainingStart, trainOnDaemon } from '../daemon/daemon-training.ts';
import { engineOverrides, pathWord, shownPath, typedContext, withOverrides } from '../job-command.ts';
import { readRecipe } from '../read-recipe.ts';
import { runWorker } from '../run-worker.ts';
import { countStates, sweepTable } from '../show/sweep-table.ts';
import { continueSweepOnSlurm, sweepOnSlurm, workAsSweepWorker } from '../slurm/slurm-sweep.ts';
import { type OnSlurmOptions, type WhereOptions, withSlurmOptions, withWhereOptions } from './train.ts';

interface SweepOptions extends WhereOptions, OnSlurmOptions {
  readonly status?: boolean;
  /** The name of this worker, if it has one. */
  readonly worker?: string | true;
  readonly csv?: string;
}

export const addSweep: AddCommand = (program, surroundings) => {
  const command = withSlurmOptions(
    withWhereOptions(
      withOverrides(
        program
          .command('sweep')
          .description('train a recipe once for each choice in its sweep section; Ctrl-C stops and saves')
          .argument('<recipe>', 'a recipe with a sweep section, or the folder of a sweep to continue it'),
      ),
    ),
  )
    .option('--worker [name]', 'work on the folder of a sweep of several workers, until nothing is left for this process')
    .option('--status', 'only show the runs of a sweep folder')
    .option('--csv <file>', 'also write the table to a CSV file');
  const examples = [
    'rowtune sweep spam.rowtune.yaml',
    "rowtune sweep spam.rowtune.yaml 'sweep.over.learning_rate=[1e-4, 1e-3]'",
    'rowtune sweep runs/spam-sweep',
    'rowtune sweep runs/spam-sweep --status',
    'rowtune sweep spam.rowtune.yaml --on slurm --profile gpu-node.yaml',
  ];
  withCommonOptions(command, examples).action((subject: string, overrides: string[], options: SweepOptions) =>
    runCommandWork(command, surroundings, context => sweep(context, subject, overrides, options)),
  );
};

async function sweep(
  context: CommandContext,
  subject: string,
  overrides: readonly string[],
  options: SweepOptions,
): Promise<CommandResult> {
  const { settings, cwd } = context;
  await checkCsvPlace(cwd, options);
  const isElsewhere = settings.remoteDaemon !== undefined && options.daemon;
  const folder = path.resolve(isElsewhere ? (settings.remoteDaemon?.dir ?? cwd) : cwd, subject);
  const isFolder = isElsewhere ? !/\.(ya?ml|json)$/i.test(subject) && subject !== '-' : isSweepFolder(folder);
  if (options.status) return showStatus(context, subject, folder, options);
  if (isFolder && overrides.length > 0)
    throw new CliError('the plan of a sweep cannot change', {
      code: 'usage',
      exitStatus: EXIT.usage,
      hint: `Start a new sweep of the recipe, or continue this one without overrides: rowtune sweep ${shellWord(subject)}`,
    });
  const showStatusOf = (status: SweepStatus): Promise<CommandResult> => showSweep(context, status, options);
  if (options.worker !== undefined) {
    if (!isFolder) throw notASweep(subject);
    return workAsSweepWorker(context, folder, options.worker === true ? undefined : options.worker, showStatusOf);
  }
  if (options.on !== undefined) {
    const { profile, detach = false } = options;
    if (isFolder) return continueSweepOnSlurm(context, folder, { profile, detach }, showStatusOf);
    return sweepOnSlurm(context, subject, overrides, { profile, detach }, showStatusOf);
  }
  return isFolder ? continueSweep(context, folder, options) : startSweep(context, subject, overrides, options);
}

/** Checks, before anything is trained, that the table can be written. @throws CliError */
async function checkCsvPlace(cwd: string, { csv }: Pick<SweepOptions, 'csv'>): Promise<void> {
  const reason = csv === undefined ? undefined : await whyNotWritable(path.dirname(path.resolve(cwd, csv)));
  if (reason === undefined) return;
  throw new CliError(`${csv} cannot be written: ${reason}`, {
    code: 'usage',
    exitStatus: EXIT.usage,
    hint: 'Choose another file with --csv.',
  });
}

async function showStatus(context: CommandContext, subject: string, folder: string, options: SweepOptions): Promise<CommandResult> {
  const client = context.settings.remoteDaemon === undefined ? undefined : await connectIfRunning(context);
  try {
    const status = client === undefined ? await readSweep(folder) : await client.request('readSweep', { sweepDir: folder });
    if (status) return await showSweep(context, status, options);
  } finally {
    client?.close();
  }
  throw notASweep(subject);
}

const notASweep = (subject: string): CliError =>
  new CliError(`${subject} is not the folder of a sweep`, {
    code: 'sweep-missing',
    exitStatus: EXIT.usage,
    hint: 'Give the folder that rowtune sweep printed, for example runs/spam-sweep.',
  });

async function startSweep(
  context: CommandContext,
  file: string,
  overrides: readonly string[],
  options: SweepOptions,
): Promise<CommandResult> {
  const { terminal, cwd } = context;
  const client = options.daemon && !options.detach ? await connectIfRunning(context) : undefined;
  const isSent = options.detach === true || client !== undefined;
  try {
    const { recipe, source } = await readRecipe(context, file, { overrides, isSent });
    if (recipe.sweep.over === undefined)
      throw new CliError(`${file} has no sweep section`, {
        code: 'bad-recipe',
        exitStatus: EXIT.usage,
        hint: 'Add one, for example: sweep: {over: {learning_rate: [1.0e-5, 1.0e-4, 1.0e-3]}}',
      });
    if (isSent) {
      const start = {
        name: 'sweep',
        params: { id: randomUUID(), recipe: { ...source, overrides: [...source.overrides, ...engineOverrides(context, recipe)] } },
      } as const;
      return await onDaemon(context, client, start, options);
    }
    const sweepDir = await freeSweepFolder({ recipe, recipeFile: source.fileName, baseDir: source.baseDir });
    await requireUsableOutput(sweepDir);
    const request = { kind: 'sweep', context: typedContext(context, source.baseDir), sweepDir, source } as const;
    return await finishSweep(
      context,
      await runWorker({ request, terminal, threads: 1, resumeCommand: sweepCommandOf(sweepDir, cwd) }),
      options,
    );
  } finally {
    client?.close();
  }
}

async function continueSweep(context: CommandContext, sweepDir: string, options: SweepOptions): Promise<CommandResult> {
  const { terminal, cwd } = context;
  const client = options.daemon && !options.detach ? await connectIfRunning(context) : undefined;
  if (options.detach || client !== undefined)
    return onDaemon(context, client, { name: 'sweep', params: { id: randomUUID(), sweepDir } }, options);
  const request = { kind: 'sweep', context: typedContext(context, cwd), sweepDir } as const;
  return finishSweep(context, await runWorker({ request, terminal, threads: 1, resumeCommand: sweepCommandOf(sweepDir, cwd) }), options);
}

async function onDaemon(
  context: CommandContext,
  client: Parameters<typeof trainOnDaemon>[1] | undefined,
  start: TrainingStart,
  options: SweepOptions,
): Promise<CommandResult> {
  if (client === undefined) return detachTraining(context, start);
  return finishSweep(context, await trainOnDaemon(context, client, start), options);
}

export const sweepCommandOf = (sweepDir: string, cwd: string): string => `rowtune sweep ${pathWord(sweepDir, cwd)}`;

/** Shows the table of a sweep that has ended, by itself or on request. */
export async function finishSweep(
  context: CommandContext,
  value: unknown,
  options: Pick<SweepOptions, 'csv'> = {},
): Promise<CommandResult> {
  const status = checkResult('sweep', value);
  const result = await showSweep(context, status, options);
  if (status.state !== 'finished') context.terminal.say('info', `continue it with: ${sweepCommandOf(status.sweepDir, context.cwd)}`);
  else requireFinishedRun(status);
  return result;
}

/** Prints the table of a sweep. */
export async function showSweep(
  { terminal, cwd }: CommandContext,
  status: SweepStatus,
  { csv }: Pick<SweepOptions, 'csv'> = {},
): Promise<CommandResult> {
  terminal.print(sweepTable(status, folder => shownPath(folder, cwd)));
  terminal.say('info', `${status.state}, ${countStates(status)}`);
  if (csv !== undefined) {
    const file = path.resolve(cwd, csv);
    await makeFolder(path.dirname(file));
    await writeTextFile(file, sweepCsv(status));
    terminal.say('info', `wrote ${csv}`);
  }
  return { value: { ok: true, ...status } };
}
