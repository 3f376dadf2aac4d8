/** `rowtune find-lr`: a short run with a rising learning rate, its curve, and a suggestion. */
import type { FindRateResult } from '../../handlers/train/find-rate.ts';
import { compact } from '../../protocol/text/format.ts';
import { jobContext } from '../../settings.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { numberOption, withOverrides } from '../job-command.ts';
import { readRecipe } from '../read-recipe.ts';
import { runWorker } from '../run-worker.ts';
import { textChart } from '../show/text-chart.ts';

interface FindOptions {
  readonly from: number;
  readonly to: number;
  readonly steps: number;
}

export const addFindLr: AddCommand = (program, surroundings) => {
  const rate = numberOption({ min: 1e-12, max: 100 });
  const command = withOverrides(
    program
      .command('find-lr')
      .description('suggest a learning rate by one short run with a rising rate; nothing of the run is kept')
      .argument('<recipe>', 'a recipe'),
  )
    .option('--from <rate>', 'the lowest rate', rate, 1e-7)
    .option('--to <rate>', 'the highest rate', rate, 1)
    .option('--steps <n>', 'the number of updates', numberOption({ min: 10, max: 10_000, integer: true }), 100);
  const examples = ['rowtune find-lr spam.rowtune.yaml', 'rowtune find-lr spam.rowtune.yaml method=lora --to 0.1 --steps 200'];
  withCommonOptions(command, examples).action((file: string, overrides: string[], options: FindOptions) =>
    runCommandWork(command, surroundings, context => findLr(context, file, overrides, options)),
  );
};

const RULE = 'the rate at which the smoothed loss falls fastest (Smith, 2017)';

async function findLr(
  context: CommandContext,
  file: string,
  overrides: readonly string[],
  { from, to, steps }: FindOptions,
): Promise<CommandResult> {
  if (from >= to) throw new CliError('--from must be below --to', { code: 'usage', exitStatus: EXIT.usage });
  const { settings, terminal } = context;
  const { recipe, source } = await readRecipe(context, file, { overrides });
  const range = { min: from, max: to, steps };
  const request = { kind: 'find-rate', context: jobContext(settings, source.baseDir), recipe, range } as const;
  const result = await runWorker({ request, terminal, threads: recipe.threads });
  terminal.print(describe(result));
  return { value: { ok: true, rule: RULE, ...result } };
}

function describe({ points, suggestion, diverged }: FindRateResult): string {
  const end = points.at(-1);
  const chart = textChart({
    points: points.map(({ learningRate, smoothed }) => ({ x: learningRate, y: smoothed })),
    logX: true,
    markX: suggestion?.steepest,
  });
  const rates =
    suggestion === undefined
      ? 'the loss never falls in this range: use a higher --to, or check the data'
      : [
          `learning_rate: ${suggestion.steepest.toExponential(1)}, ${RULE}`,
          `For comparison, a tenth of the rate with the lowest loss is ${suggestion.tenthOfMinimum.toExponential(1)}.`,
        ].join('\n');
  const stopped = diverged && end !== undefined ? `the loss diverged at ${compact(end.learningRate)}` : 'the loss did not diverge';
  return ['smoothed loss by learning rate', chart, '', rates, stopped].join('\n');
}
