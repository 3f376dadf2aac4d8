/** `rowtune reproduce`: runs the paper's tables row by row, and compares the paper's numbers with ours. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Option } from 'commander';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { readModelHeaders } from '../../hub/open-model.ts';
import { configHeaders } from '../../plan/config-headers.ts';
import { type EstimateParams, estimateRecipe } from '../../plan/memory/predict.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { RUN_FILES } from '../../protocol/run/run-files.ts';
import { byteSize, table } from '../../protocol/text/format.ts';
import { jobContext } from '../../settings.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { resumeCommandOf } from '../finish-training.ts';
import { shownPath } from '../job-command.ts';
import { dataOverrides, findPaperModel, missingModel, type Places, paperData, paperModels } from '../paper/paper-needs.ts';
import { type RowProgress, readProgress, resultTable, writeBenchmarks } from '../paper/paper-results.ts';
import { type PaperRow, type PaperTable, type PaperValues, paperTables } from '../paper/paper-tables.ts';
import { readRecipe } from '../read-recipe.ts';
import { runWorker } from '../run-worker.ts';

interface ReproduceOptions {
  readonly table: string;
  readonly models?: string;
  readonly data: string;
  readonly output: string;
  readonly only?: string;
  readonly list?: boolean;
  readonly download?: boolean;
  readonly smoke?: boolean;
}

export const addReproduce: AddCommand = (program, surroundings) => {
  const command = program
    .command('reproduce')
    .description("run the rows of one of the paper's tables, and compare its numbers with ours")
    .addOption(
      new Option('--table <number>', 'the number of the table')
        .choices(paperTables.map(({ number }) => String(number)))
        .makeOptionMandatory(),
    )
    .option('--models <dir>', 'folder of the models, each named after the last part of its hub name')
    .option('--data <dir>', 'folder of the unpacked data sets', 'data')
    .option('--output <dir>', 'folder of the runs; finished rows are not repeated', path.join('runs', 'paper'))
    .option('--only <text>', 'only rows whose name contains this text')
    .option('--download', 'download missing models from the hub')
    .option('--list', 'only list the requirements and progress of each row')
    .option('--smoke', 'smoke test: run every row with tiny models and small data; its numbers are meaningless');
  withCommonOptions(command, [
    'rowtune reproduce --table 2 --list',
    'rowtune reproduce --table 7 --models models --data glue',
    'rowtune reproduce --table 4 --smoke',
  ]).action((options: ReproduceOptions) => runCommandWork(command, surroundings, context => reproduce(context, options)));
};

interface PlannedRow {
  readonly row: PaperRow;
  readonly recipe: Recipe;
  readonly runDir: string;
  readonly progress: RowProgress;
  /** Missing files. */
  readonly missing: readonly string[];
  readonly memory: string;
  /** Number of trainable parameters, counted from the model's headers if available. */
  readonly trainable?: number;
}

async function reproduce(context: CommandContext, options: ReproduceOptions): Promise<CommandResult> {
  const found = paperTables.find(({ number }) => String(number) === options.table);
  if (!found) throw new Error(`there is no table ${options.table}`);
  const { only = '' } = options;
  const wanted = { ...found, rows: found.rows.filter(({ id }) => id.includes(only)) };
  if (wanted.rows.length === 0)
    throw new CliError(`no row of table ${found.number} has a name that contains '${only}'`, {
      code: 'no-row',
      exitStatus: EXIT.usage,
      hint: `The rows are ${found.rows.map(({ id }) => id).join(', ')}`,
    });
  const { terminal, cwd } = context;
  const smoke = options.smoke ? await smokePlaces(context) : undefined;
  const output = path.resolve(cwd, options.output, `${options.smoke ? 'smoke-' : ''}table-${found.number}`);
  const places = smoke ?? {
    models: options.models === undefined ? undefined : path.resolve(cwd, options.models),
    data: path.resolve(cwd, options.data),
    cacheDir: context.settings.cacheDir,
  };
  const plan: PlannedRow[] = [];
  for (const row of wanted.rows) plan.push(await planRow(context, { table: wanted, row, places, output, options }));
  terminal.say('info', `table ${found.number}: ${found.title}\n${planTable(plan, cwd)}`);
  const results = new Map(plan.flatMap(planned => valuesBefore(planned, wanted)));
  const failures = options.list === true || wanted.countsOnly ? [] : await runQueue(context, wanted, plan, results);
  if (options.smoke) terminal.say('warning', 'smoke run with tiny models, small data and few updates; its numbers are meaningless');
  terminal.print(resultTable(wanted, results));
  const isDone = failures.length === 0 && (options.list === true || plan.every(({ missing }) => missing.length === 0));
  const rows = plan.map(({ row, runDir, missing }) => {
    const failure = failures.find(({ id }) => id === row.id)?.message;
    return { id: row.id, runDir, missing, paper: row.paper, ours: results.get(row.id) ?? null, failure };
  });
  return {
    value: { ok: isDone, table: found.number, title: found.title, smoke: options.smoke === true, rows },
    exitStatus: isDone ? EXIT.ok : EXIT.failed,
  };
}

interface PlanParams {
  readonly table: PaperTable;
  readonly row: PaperRow;
  readonly places: Places;
  readonly output: string;
  readonly options: ReproduceOptions;
}

async function planRow(context: CommandContext, { table: of, row, places, output, options }: PlanParams): Promise<PlannedRow> {
  const model = await findPaperModel(row.model, places);
  const { hub } = paperModels[row.model];
  const named = model ?? hub;
  const data = dataOverrides(row.data, of.benchmarks === true, places);
  const overrides = [`model=${JSON.stringify(named)}`, ...data.overrides, ...(row.overrides ?? [])];
  const file = path.join(paperFolder(), `table-${of.number}`, `${row.recipe}.rowtune.yaml`);
  const { recipe: written } = await readRecipe(context, file, { overrides });
  const recipe = options.smoke ? smokeRecipe(written, row) : written;
  const runDir = path.join(output, row.id);
  const isLocal = model !== undefined && existsSync(model);
  const headers = isLocal ? await headersOf(model, of) : undefined;
  const estimate = headers instanceof Error ? undefined : headers && estimateOf(recipe, headers);
  return {
    row,
    recipe,
    runDir,
    progress: await readProgress(runDir, row, of.benchmarks === true),
    missing: [
      ...(model === undefined && !options.download ? [missingModel(row.model)] : []),
      ...(headers instanceof Error ? [`a model to train in ${shownPath(named, context.cwd)}: ${headers.message}`] : []),
      ...(of.countsOnly ? [] : data.missing.map(({ file: lacking, source }) => `${shownPath(lacking, context.cwd)} (${source})`)),
    ],
    memory: estimate ? byteSize(estimate.totalBytes) : `over ${byteSize(4e6 * paperModels[row.model].parameters)}`,
    trainable: estimate?.trainable,
  };
}

/** Reads the headers. A table that only counts needs just config.json; other problems of a model are returned as errors. */
async function headersOf(model: string, { countsOnly }: PaperTable): Promise<EstimateParams['headers'] | Error> {
  try {
    return await readModelHeaders(model);
  } catch (error) {
    return countsOnly ? configHeaders(model) : error instanceof Error ? error : new Error(String(error));
  }
}

/** The estimate of the run; undefined if the model is unsuitable. */
function estimateOf(recipe: Recipe, headers: EstimateParams['headers']): ReturnType<typeof estimateRecipe> | undefined {
  try {
    return estimateRecipe({ recipe, headers, allLevels: false, compare: false });
  } catch {
    return undefined;
  }
}

/** A short, small version of a recipe, so that each row takes seconds; method and targets stay those of the row. */
const smokeRecipe = (recipe: Recipe, { model }: PaperRow): Recipe => ({
  ...recipe,
  max_steps: 2,
  per_device_train_batch_size: 4,
  per_device_eval_batch_size: 4,
  max_length: objectiveCatalog[recipe.task].model === 'causal' ? 512 : 48,
  r: recipe.r === undefined ? undefined : recipe.r / 8,
  benchmark_max_samples: 2,
  threads: 1,
  // Convolutional networks take images of any size.
  data: { ...recipe.data, ...(model.startsWith('res') ? { image_size: 32 } : {}) },
  importance: { ...recipe.importance, samples: 30, batch_size: 4, cache: false },
});

/** Prepares the tiny models and small data of a smoke run; the scripts are in the repository. */
async function smokePlaces({ settings }: CommandContext): Promise<Places> {
  const script = path.join(path.dirname(path.dirname(paperFolder())), 'scripts', 'demo', 'paper-smoke.mjs');
  if (!existsSync(script))
    throw new CliError('a smoke run needs scripts that are not part of this package', {
      code: 'no-smoke',
      hint: 'Run it in a clone of the repository.',
    });
  // A script of this repository, imported by a path that is known only when the program runs.
  const module = (await import(pathToFileURL(script).href)) as { ensureSmoke(folder: string): Promise<{ models: string; data: string }> };
  const { models, data } = await module.ensureSmoke(path.join(settings.cacheDir, 'demo'));
  return { models, data, cacheDir: settings.cacheDir };
}

/** The folder examples/paper, searched upwards from this file. @throws CliError if the package was installed without it */
function paperFolder(): string {
  let folder = import.meta.dirname;
  for (let above = 0; above < 4; above++, folder = path.dirname(folder)) {
    const here = path.join(folder, 'examples', 'paper');
    if (existsSync(here)) return here;
  }
  throw new CliError("the paper's recipes are not part of this package", {
    code: 'no-recipes',
    hint: 'Run it in a clone of the repository, which has them in examples/paper.',
  });
}

function planTable(plan: readonly PlannedRow[], cwd: string): string {
  const lines = plan.map(({ row, runDir, progress, missing, memory }) => [
    row.id,
    paperModels[row.model].hub,
    paperData[row.data].title,
    memory,
    progress.state === 'finished'
      ? `finished (${shownPath(runDir, cwd)})`
      : missing.length > 0
        ? 'some models or data are missing'
        : 'ready',
  ]);
  const missing = [...new Set(plan.flatMap(one => one.missing))].map(one => `missing: ${one}`);
  return [table([['row', 'model', 'data', 'memory', 'state'], ...lines]), ...missing].join('\n');
}

function valuesBefore({ row, progress, trainable }: PlannedRow, { countsOnly }: PaperTable): [string, PaperValues][] {
  if (countsOnly) return trainable === undefined ? [] : [[row.id, { trained: trainable / 1e6 }]];
  return progress.values ? [[row.id, progress.values]] : [];
}

interface Failure {
  readonly id: string;
  readonly message: string;
}

/** Runs the rows one after the other. After a failure, which is reported, the next row runs; an interrupt ends the queue. */
async function runQueue(
  context: CommandContext,
  of: PaperTable,
  plan: readonly PlannedRow[],
  results: Map<string, PaperValues>,
): Promise<Failure[]> {
  const failures: Failure[] = [];
  const queue = plan.filter(({ progress, missing }) => progress.state !== 'finished' && missing.length === 0);
  for (const [at, planned] of queue.entries()) {
    const { row, runDir } = planned;
    context.terminal.say('info', `row ${at + 1} of ${queue.length}: ${row.title}`);
    try {
      await runRow(context, of, planned);
      const { values } = await readProgress(runDir, row, of.benchmarks === true);
      if (values) results.set(row.id, values);
    } catch (error) {
      if (!(error instanceof CliError) || error.exitStatus === EXIT.interrupted) throw error;
      context.terminal.say('error', `${row.id}: ${error.message}`);
      failures.push({ id: row.id, message: error.message });
    }
  }
  return failures;
}

async function runRow(
  { settings, terminal, cwd }: CommandContext,
  of: PaperTable,
  { recipe, runDir, progress }: PlannedRow,
): Promise<void> {
  const base = { context: jobContext(settings, cwd) };
  const { threads } = recipe;
  if (progress.state !== 'benchmarks') {
    const request =
      progress.state === 'unfinished' && existsSync(path.join(runDir, RUN_FILES.checkpoints))
        ? ({ ...base, kind: 'resume', runDir, overrides: [] } as const)
        : ({ ...base, kind: 'train', recipe: { ...recipe, overwrite_output_dir: true }, runDir } as const);
    const result = await runWorker({ request, terminal, threads, resumeCommand: resumeCommandOf(runDir, cwd) });
    if (result.state === 'stopped')
      throw new CliError('stopped; run the same command to continue', { code: 'aborted', exitStatus: EXIT.interrupted });
  }
  if (!of.benchmarks) return;
  const request = { ...base, kind: 'evaluate', recipe, adapter: runDir } as const;
  const { benchmarks } = await runWorker({ request, terminal, threads });
  if (benchmarks) await writeBenchmarks(runDir, benchmarks);
}
