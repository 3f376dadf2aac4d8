/** `rowtune init`: writes a recipe for a model and data of one's own. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { Option } from 'commander';
import { type MethodName, methodNames } from '../../catalog/methods.ts';
import { type ObjectiveName, objectiveCatalog, objectiveNames } from '../../catalog/objectives.ts';
import { writeTextFile } from '../../files/durable-file.ts';
import type { DataCache, DataFact } from '../../lint/facts/data-facts.ts';
import { type ModelFacts, positionsOf } from '../../lint/facts/model-facts.ts';
import { tasksOf } from '../../lint/facts/tasks-of-model.ts';
import { fittingBudget } from '../../lint/problems/model-problems.ts';
import { unusable } from '../../lint/problems/unusable-model.ts';
import { chatColumns } from '../../protocol/recipe/column-roles.ts';
import { parseRecipe } from '../../protocol/recipe/parse-recipe.ts';
import { freeName, recipeFileName, recipeText } from '../../protocol/recipe/recipe-text.ts';
import { readSources } from '../../reader/lint-sources.ts';
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

/** @throws CliError (status 2) for a model that can't be used, data that is not there, or a recipe that is there already */
async function init(context: CommandContext, data: string, { model: name, method, ...options }: InitOptions): Promise<CommandResult> {
  const { cwd, terminal, settings } = context;
  if (name === undefined)
    throw usage(
      'the model is missing',
      `Add --model with a folder, a .gguf file, or a name on the hub, for example --model ${EXAMPLE_MODEL}`,
    );
  const file = path.resolve(cwd, options.output ?? recipeFileName(freeName(name, method, await recipesIn(cwd))));
  if (existsSync(file)) throw usage(`${path.relative(cwd, file)} exists already`, 'Choose another name with --output');
  if (!RECIPE_NAME.test(file)) throw usage(`${path.basename(file)} is no name of a recipe`, 'Let --output end with .rowtune.yaml');
  const { model, chosen } = await withReader(async reader => {
    const { models, data: files } = readSources(reader, settings.cacheDir);
    const found = await models.look(name, 'main', cwd);
    if (found.kind !== 'ready' && found.kind !== 'not-downloaded') throw usage(unusable(found, name, []).message, 'Check --model');
    return { model: found, chosen: await chooseTask({ files, data, model: found, cwd, task: options.task }) };
  });
  const { task, columns, fact } = chosen;
  if (fact.state === 'missing')
    throw usage(
      `there is no file or folder ${data}`,
      fact.suggestion === undefined ? 'Check the path' : `Did you mean ${fact.suggestion}?`,
    );
  const isOfOtherKind = fact.isFolder || objectiveCatalog[task].reads === 'images';
  if (fact.state === 'unreadable' && isOfOtherKind) throw usage(`the data cannot be read: ${fact.reason}`, 'Check the data and --model');
  const folder = path.dirname(file);
  const from = (written: string): string =>
    existsSync(path.resolve(cwd, written)) ? relativeTo(folder, path.resolve(cwd, written)) : written;
  const positions = model.kind === 'ready' ? positionsOf(model.model) : undefined;
  const answers = {
    name: path.basename(file).replace(RECIPE_NAME, ''),
    model: from(name),
    task,
    method,
    train: from(data),
    columns,
    ...(positions !== undefined && { maxPositions: positions }),
  };
  const r = model.kind === 'ready' ? fittingBudget(model.model, parseRecipe(recipeText(answers)).resolved) : undefined;
  await writeTextFile(file, recipeText({ ...answers, r }));
  const recipe = path.relative(cwd, file);
  terminal.print(`wrote ${recipe}: ${[objectiveCatalog[task].label, formatOf(fact, columns)].filter(part => part !== '').join(', ')}`);
  if (fact.state === 'unreadable') terminal.say('warning', `the data cannot be read: ${fact.reason}`);
  if (fact.isOnHub === true) terminal.say('info', `${data} is not downloaded, so its columns and samples are not checked yet`);
  const problem = fact.badSamples?.[0];
  if (problem !== undefined) terminal.say('warning', `the data does not fit yet: line ${problem.line}: ${problem.reason}`);
  terminal.print(`Next:\n  rowtune lint ${recipe}\n  rowtune train ${recipe}`);
  return { value: { ok: true, recipe: file, task, method, columns } };
}

const usage = (message: string, hint: string): CliError => new CliError(message, { code: 'usage', exitStatus: EXIT.usage, hint });

const recipesIn = async (folder: string): Promise<ReadonlySet<string>> =>
  new Set((await readdir(folder)).filter(name => RECIPE_NAME.test(name)).map(name => name.replace(RECIPE_NAME, '')));

/** A path inside the folder is written relative to it, so that the folder can be moved. */
function relativeTo(folder: string, file: string): string {
  const relative = path.relative(folder, file);
  return relative === '' || relative.startsWith('..') ? file : relative.split(path.sep).join('/');
}

interface ChosenTask {
  readonly task: ObjectiveName;
  readonly columns: Readonly<Record<string, string>>;
  readonly fact: DataFact;
}

interface ChooseParams {
  readonly files: DataCache;
  readonly data: string;
  readonly model: Extract<ModelFacts, { kind: 'ready' | 'not-downloaded' }>;
  readonly cwd: string;
  /** The only one, where the user has chosen it. */
  readonly task: ObjectiveName | undefined;
}

/** The first task of the model whose samples the data has, with columns for questions and answers; otherwise its first task. */
async function chooseTask({ files, data, model, cwd, task }: ChooseParams): Promise<ChosenTask> {
  const tasks = task !== undefined ? [task] : model.kind === 'ready' ? tasksOf(model.model) : objectiveNames;
  const look = async (each: ObjectiveName, columns: ChosenTask['columns']): Promise<ChosenTask> => {
    const asked = parseRecipe(JSON.stringify({ model: 'm', task: each, data: { train: data, columns } })).resolved;
    const known = model.kind === 'ready' ? { path: model.path, id: model.id } : undefined;
    return { task: each, columns, fact: await files.look(data, asked, cwd, { part: 'train', model: known }) };
  };
  let first: ChosenTask | undefined;
  for (const each of tasks) {
    const plain = await look(each, {});
    first ??= plain;
    const columns = objectiveCatalog[each].target === 'tokens' ? chatColumns(plain.fact.columns) : undefined;
    const isChat = plain.fact.state === 'bad-sample' || plain.fact.isPlainForChat === true;
    const found = columns !== undefined && isChat ? await look(each, columns) : plain;
    if (found.fact.state === 'ok') return found;
  }
  if (first === undefined) throw new Error('a model has at least one task');
  return first;
}

function formatOf({ format, isFolder, rows, columns: found }: DataFact, columns: ChosenTask['columns']): string {
  const count = rows === undefined ? '' : `${rows.count} samples`;
  const renamed = Object.entries(columns).map(([ours, theirs]) => `${theirs} as ${ours}`);
  const what =
    renamed.length > 0 ? renamed.join(', ') : (format ?? (isFolder ? 'a folder' : found.length > 0 ? `columns ${found.join(', ')}` : ''));
  return [count, what].filter(part => part !== '').join(', ');
}
