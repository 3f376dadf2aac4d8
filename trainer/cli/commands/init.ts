/** `rowtune init`: writes a recipe for the user's own model and data. */

import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { Option } from 'commander';
import { type MethodName, methodNames } from '../../catalog/methods.ts';
import { type ObjectiveName, objectiveCatalog, objectiveNames } from '../../catalog/objectives.ts';
import { writeTextFile } from '../../files/durable-file.ts';
import { makeFolder } from '../../files/durable-folder.ts';
import { heldOutFiles } from '../../files/held-out-files.ts';
import type { DataFact } from '../../lint/facts/data-facts.ts';
import { parseRecipe } from '../../protocol/recipe/parse-recipe.ts';
import { freeName, recipeFileName, recipeText } from '../../protocol/recipe/recipe-text.ts';
import { counted } from '../../protocol/text/format.ts';
import { listedKeys } from '../../protocol/text/listed-keys.ts';
import { sampleLine } from '../../protocol/text/sample-line.ts';
import { shellWord } from '../../protocol/text/shell-word.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { withReader } from '../with-reader.ts';

interface InitOptions {
  readonly model?: string;
  readonly task?: ObjectiveName;
  readonly method: MethodName;
  readonly output?: string;
}

/** A small chat model that many machines can train. */
const EXAMPLE_MODEL = 'HuggingFaceTB/SmolLM2-135M-Instruct';
const RECIPE_NAME = /\.rowtune\.(?:ya?ml|json)$/i;

export const addInit: AddCommand = (program, surroundings) => {
  const command = program
    .command('init')
    .description('write a recipe for your data, with the settings that people change and a sentence about each')
    .argument('<data>', 'a file, a folder of images, or a data set on the hub')
    .option('--model <name>', 'a folder, a .gguf file, or a name on the Hugging Face hub')
    .addOption(
      new Option('--task <name>', 'what the model is tuned for; found from the model and the data if left out').choices(objectiveNames),
    )
    .addOption(new Option('--method <name>', 'how it is tuned').choices(methodNames).default(parseRecipe('').resolved.method))
    .option('--output <file>', 'the recipe to write; named after model and method, in the current folder, if left out');
  withCommonOptions(command, [
    `rowtune init chats.csv --model ${EXAMPLE_MODEL}`,
    'rowtune init mails.jsonl --model models/minilm --task sequence_classification --output mails.rowtune.yaml',
  ]).action((data: string, options: InitOptions) => runCommandWork(command, surroundings, context => init(context, data, options)));
};

/** @throws CliError (status 2) for an unusable model, missing data, or a recipe that already exists */
async function init(context: CommandContext, data: string, { model: name, method, ...options }: InitOptions): Promise<CommandResult> {
  const { cwd, terminal, settings } = context;
  if (name === undefined)
    throw usage(
      'the model is missing',
      `Add --model with a folder, a .gguf file, or a name on the hub, for example --model ${EXAMPLE_MODEL}`,
    );
  const file = path.resolve(cwd, options.output ?? recipeFileName(freeName(name, method, await recipesIn(cwd))));
  if (existsSync(file)) throw usage(`${path.relative(cwd, file)} exists already`, 'Choose another name with --output');
  if (!RECIPE_NAME.test(file)) throw usage(`${path.basename(file)} is not the name of a recipe`, 'Let --output end with .rowtune.yaml');
  const heldOut = (await heldOutFiles(path.resolve(cwd, data))).map(each => path.join(path.dirname(data), path.basename(each)));
  const answer = await withReader(reader => {
    const params = { model: name, data, task: options.task, method, baseDir: cwd, cacheDir: settings.cacheDir, heldOut };
    return reader.ask('newRecipe', params, `Reading ${name} and ${data}`);
  });
  if ('problem' in answer) throw usage(answer.problem.message, answer.problem.hint);
  const { data: fact, evaluation, ...fitting } = answer.fitting;
  const { task, columns = {} } = fitting;
  const folder = path.dirname(file);
  const from = (written: string): string =>
    existsSync(path.resolve(cwd, written)) ? relativeTo(folder, path.resolve(cwd, written)) : written;
  const recipeName = path.basename(file).replace(RECIPE_NAME, '');
  await makeFolder(folder);
  const paths = { model: from(name), train: from(data), evaluation: evaluation === undefined ? undefined : from(evaluation) };
  await writeTextFile(file, recipeText({ ...fitting, ...paths, name: recipeName, method }));
  const recipe = path.relative(cwd, file);
  const layout = fact === undefined ? '' : formatOf(fact, columns);
  terminal.print(`wrote ${recipe}: ${[objectiveCatalog[task].label, layout].filter(part => part !== '').join(', ')}`);
  if (evaluation !== undefined) terminal.print(`the held-out data is ${evaluation}, found next to the training data`);
  if (fact?.state === 'unreadable') terminal.say('warning', `the data cannot be read: ${fact.reason}`);
  if (fact?.isOnHub === true) terminal.say('info', `${data} is not downloaded, so its columns and samples are not checked yet`);
  const problem = fact?.badSamples?.[0];
  if (problem !== undefined) {
    const where = `line ${sampleLine(problem)}${problem.key === undefined ? '' : `: key "${problem.key}"`}`;
    terminal.say('warning', `the data does not fit yet: ${where}: ${problem.reason}`);
  }
  terminal.print(`Next:\n  rowtune lint ${shellWord(recipe)}\n  rowtune train ${shellWord(recipe)}`);
  return { value: { ok: true, recipe: file, task, method, columns, ...(evaluation !== undefined && { evaluation }) } };
}

const usage = (message: string, hint: string): CliError => new CliError(message, { code: 'usage', exitStatus: EXIT.usage, hint });

const recipesIn = async (folder: string): Promise<ReadonlySet<string>> =>
  new Set((await readdir(folder)).filter(name => RECIPE_NAME.test(name)).map(name => name.replace(RECIPE_NAME, '')));

/** A path inside the folder is written relative to it, so that the folder can be moved. */
function relativeTo(folder: string, file: string): string {
  const relative = path.relative(folder, file);
  return relative === '' || relative.startsWith('..') ? file : relative.split(path.sep).join('/');
}

function formatOf({ format, isFolder, rows, columns: found }: DataFact, columns: Readonly<Record<string, string>>): string {
  const count = rows === undefined ? '' : counted(rows.count, 'sample');
  const renamed = Object.entries(columns).map(([ours, theirs]) => `${theirs} as ${ours}`);
  const what =
    renamed.length > 0 ? renamed.join(', ') : (format ?? (isFolder ? 'a folder' : found.length > 0 ? `columns ${listedKeys(found)}` : ''));
  return [count, what].filter(part => part !== '').join(', ');
}
