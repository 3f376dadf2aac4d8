/** `rowtune evaluate`: loss and accuracy of a base or tuned model on held-out data. */

import path from 'node:path';
import { type Evaluation, isEvaluation } from '../../job/evaluate.ts';
import { table } from '../../protocol/text/format.ts';
import { jobContext } from '../../settings.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { recipeOrRun, withOverrides } from '../job-command.ts';
import { runWorker } from '../run-worker.ts';
import { benchmarkTable, classTable, forgettingTable, metricRows } from '../show/run-table.ts';

export const addEvaluate: AddCommand = (program, surroundings) => {
  const command = withOverrides(
    program
      .command('evaluate')
      .description('evaluate a run, or the base model of a recipe, on held-out data')
      .argument('<recipe|run>', 'a recipe, or a run folder'),
  )
    .option('--adapter <dir>', 'a run, a checkpoint or an exported adapter to apply to the model')
    .option('--answers <file>', 'with eval_generation: write all answers to this new file, one JSON object per line');
  withCommonOptions(command, [
    'rowtune evaluate runs/spam',
    'rowtune evaluate runs/chat eval_forgetting=true',
    'rowtune evaluate spam.rowtune.yaml --adapter spam-adapter data.eval=other.jsonl',
    'rowtune evaluate runs/chat --answers answers.jsonl eval_generation.max_samples=200',
  ]).action((source: string, overrides: string[]) =>
    runCommandWork(command, surroundings, context => evaluate(context, source, overrides, command.opts<EvaluateOptions>())),
  );
};

interface EvaluateOptions {
  readonly adapter?: string;
  readonly answers?: string;
}

async function evaluate(
  context: CommandContext,
  source: string,
  overrides: readonly string[],
  { adapter, answers }: EvaluateOptions,
): Promise<CommandResult> {
  const { settings, terminal, cwd } = context;
  const { recipe, baseDir, runDir } = await recipeOrRun(context, source, overrides);
  const request = {
    kind: 'evaluate',
    context: jobContext(settings, baseDir),
    recipe,
    adapter: adapter === undefined ? runDir : path.resolve(cwd, adapter),
    ...(answers !== undefined && { answersFile: path.resolve(cwd, answers) }),
  } as const;
  const value = await runWorker({ request, terminal, threads: recipe.threads });
  if (isEvaluation(value)) {
    const evaluation: Evaluation = value;
    terminal.print(table(metricRows(evaluation)));
    const classes = classTable({ '': evaluation });
    if (classes !== '') terminal.print(`\n${classes}`);
  } else if (value.loss !== undefined) terminal.print('The loss is not a number: the model or its weights are broken.');
  if (value.benchmarks) terminal.print(benchmarkTable(value.benchmarks));
  if (answers !== undefined) terminal.print(`wrote ${answers}`);
  if (value.forgetting) terminal.print(`\n${forgettingTable(value.forgetting)}`);
  return { value: { ok: true, ...value } };
}
