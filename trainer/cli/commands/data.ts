/** `rowtune data`: samples as the model will see them, and statistics of all samples. */
import path from 'node:path';
import { Option } from 'commander';
import { DATA_PARTS, type DataPart, type SamplePage } from '../../protocol/view/data.ts';
import { jobContext } from '../../settings.ts';
import { EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { numberOption, recipeOrRun, shownPath, withOverrides } from '../job-command.ts';
import { runWorker } from '../run-worker.ts';
import { describeSamples, describeStatistics } from '../show/data-text.ts';

interface DataOptions {
  readonly part: DataPart;
  readonly from: number;
  readonly samples: number;
  /** False with --no-statistics. */
  readonly statistics: boolean;
}

export const addData: AddCommand = (program, surroundings) => {
  const command = withOverrides(
    program
      .command('data')
      .description(
        'show samples as the model will see them: tokens that are trained, context and what is cut off; then facts about all samples',
      )
      .argument('<recipe|run>', 'a recipe, or a run folder'),
  )
    .addOption(new Option('--part <part>', 'the samples to show').choices(DATA_PARTS).default('train'))
    .option('--from <n>', 'the first sample to show, from 0', numberOption({ min: 0, integer: true }), 0)
    .option('--samples <n>', 'how many samples to show', numberOption({ min: 0, max: 100, integer: true }), 3)
    .option('--no-statistics', 'show samples only, without reading all data');
  const examples = ['rowtune data spam.rowtune.yaml', 'rowtune data spam.rowtune.yaml --part eval --from 100 --samples 10 --no-statistics'];
  withCommonOptions(command, examples).action((source: string, overrides: string[], options: DataOptions) =>
    runCommandWork(command, surroundings, context => data(context, source, overrides, options)),
  );
};

async function data(
  context: CommandContext,
  source: string,
  overrides: readonly string[],
  { part, from, samples: count, statistics }: DataOptions,
): Promise<CommandResult> {
  const { settings, terminal } = context;
  const { recipe, baseDir } = await recipeOrRun(context, source, overrides);
  const request = { kind: 'data', context: jobContext(settings, baseDir), recipe, part, from, count, statistics } as const;
  const shown = (file: string): string => (path.isAbsolute(file) ? shownPath(file, context.cwd) : file);
  let isShown = false;
  const showSamples = (page: SamplePage): void => {
    isShown = true;
    // The error that follows explains why there are no samples.
    if (page.samples.length === 0 && page.problem !== undefined) return;
    if (page.part !== part) terminal.say('warning', `the recipe has no data.${part}: these are samples of data.${page.part}`);
    terminal.print(describeSamples(page, terminal.isColored, shown));
  };
  const result = await runWorker({
    request,
    terminal,
    threads: recipe.threads,
    onEvent: event => {
      if (event.type === 'statistics') terminal.say('info', `\n${describeStatistics(event.statistics, shown)}\n`);
      if (event.type !== 'samples') return false;
      showSamples(event.page);
      return true;
    },
  });
  const problem = result.failure ?? result.page.problem;
  if (!isShown) showSamples(result.page);
  if (result.statistics) terminal.print(`\n${describeStatistics(result.statistics, shown)}`);
  if (problem !== undefined) terminal.say('error', `training would stop at this data:\n${problem}`);
  return { value: { ok: problem === undefined, ...result }, exitStatus: problem === undefined ? EXIT.ok : EXIT.failed };
}
