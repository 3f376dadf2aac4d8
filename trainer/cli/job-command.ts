/** The common parts of commands that start a worker: names on the command line, folders, options. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { engineChoiceNames, hostingEngines } from '../catalog/engines.ts';
import { orList } from '../catalog/entries.ts';
import { baseForms, basePlaces, inferenceTypes, type JobContext } from '../protocol/messages/job-messages.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { shellWord } from '../protocol/text/shell-word.ts';
import { RUNS_FOLDER } from '../run/free-run-folder.ts';
import { requireBase } from '../run/require-base.ts';
import { isRunFolder, readRunRecipe } from '../run/run-folder.ts';
import { jobContext, type Settings } from '../settings.ts';
import { CliError, EXIT } from './cli-error.ts';
import type { CommandContext } from './command.ts';
import { requireNoRuns } from './model-and-adapter.ts';
import { absoluteOverrides } from './override-paths.ts';
import { readRecipe, STDIN } from './read-recipe.ts';

export const engineOption = (): Option =>
  new Option('--engine <name>', 'the compute engine; auto uses TensorFlow if it is installed').choices(engineChoiceNames).default('auto');

/** The option for commands that read a model and train nothing. */
export const baseOffloadOption = (): Option =>
  new Option(
    '--base-offload <place>',
    `keep the weights of the blocks in the memory of the host, on an engine that can (${orList(hostingEngines)}), for a model larger than the memory of the GPU; as in the run if left out`,
  ).choices(basePlaces);

/** The options for how commands that train nothing hold weights. */
export const precisionOptions = (): readonly Option[] => [
  new Option('--dtype <type>', 'the element type of weights and products; as in the run if left out, otherwise float32').choices(
    inferenceTypes,
  ),
  new Option(
    '--quantize <form>',
    'hold the linear layers of the blocks in fewer bits, in less memory; as in the run if left out, otherwise none',
  ).choices(baseForms),
];

export interface EngineOptions {
  readonly engine: Recipe['engine'];
}

/** The context of a training that this command runs itself: its processes may open ports, if the recipe says so. */
export const typedContext = ({ settings }: CommandContext, baseDir: string): JobContext => ({
  ...jobContext(settings, baseDir),
  opensPorts: true,
});

/** The engine that our environment sets, as an override for a job that runs in another environment. */
export const engineOverrides = ({ settings }: CommandContext, { engine }: Pick<Recipe, 'engine'>): string[] =>
  engine === 'auto' && settings.engineFromEnvironment !== undefined ? [`engine=${settings.engineFromEnvironment}`] : [];

/** Adds the overrides of a recipe as arguments after its name. */
export const withOverrides = (command: Command): Command =>
  command.argument(
    '[overrides...]',
    'key=value settings that override the recipe, for example learning_rate=1e-4 data.train=mails.jsonl; paths start from the current folder',
  );

/** @throws CliError if the folder is not a run of this machine */
export async function requireRun(runDir: string, shown: string, { remoteDaemon }: Pick<Settings, 'remoteDaemon'>): Promise<void> {
  if (await isRunFolder(runDir)) return;
  const hint =
    remoteDaemon === undefined ? 'List runs with: rowtune runs' : 'This command reads runs of this machine: type it on that of the daemon';
  throw new CliError(`${shown} is not a run folder`, { code: 'run-missing', exitStatus: EXIT.usage, hint });
}

/** The shortest path of a folder, seen from the current folder. */
export function shownPath(folder: string, cwd: string): string {
  const relative = path.relative(cwd, folder);
  return relative.startsWith('..') ? folder : relative || '.';
}

/** The shortest path of a folder, as one word of a command that is shown to be copied. */
export const pathWord = (folder: string, cwd: string): string => shellWord(shownPath(folder, cwd));

/** A recipe file, or a run folder that stands for its recipe and adapter; with the base of relative paths. */
export async function recipeOrRun(
  context: CommandContext,
  nameOrPath: string,
  overrides: readonly string[],
): Promise<{ readonly recipe: Recipe; readonly baseDir: string; readonly runDir?: string }> {
  const folder = path.resolve(context.cwd, nameOrPath);
  if (await isRunFolder(folder)) {
    const recipe = await readRunRecipe(folder, absoluteOverrides(overrides, context.cwd));
    requireBase(recipe.model, nameOrPath, 'model=PATH');
    return { recipe, baseDir: folder, runDir: folder };
  }
  if (!/\.(?:ya?ml|json)$/i.test(nameOrPath)) {
    await requireNoRuns(folder, nameOrPath);
    if (nameOrPath !== STDIN && !existsSync(folder)) throw await noRunOrRecipe(context, nameOrPath);
  }
  const { recipe, source } = await readRecipe(context, nameOrPath, { overrides });
  return { recipe, baseDir: source.baseDir };
}

/** The error for a name of nothing; a run is often named without the folder of the runs. */
async function noRunOrRecipe({ cwd }: CommandContext, name: string): Promise<CliError> {
  const run = path.join(RUNS_FOLDER, name);
  const hint = (await isRunFolder(path.join(cwd, run))) ? `Did you mean ${shellWord(run)}?` : 'List runs with: rowtune runs';
  return new CliError(`there is no run and no recipe ${name}`, { code: 'run-missing', exitStatus: EXIT.usage, hint });
}

/** Parses a numeric option within bounds. */
export function numberOption({
  min,
  max = Number.POSITIVE_INFINITY,
  integer = false,
}: {
  readonly min: number;
  readonly max?: number;
  readonly integer?: boolean;
}) {
  return (text: string): number => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (Number.isNaN(value) || value < min || value > max || (integer && !Number.isInteger(value)))
      throw new InvalidArgumentError(
        `It must be ${integer ? 'a whole number' : 'a number'} from ${min}${max === Number.POSITIVE_INFINITY ? ' up' : ` to ${max}`}.`,
      );
    return value;
  };
}
