/** `rowtune estimate`: the memory of a run before it starts, from the headers of the model alone. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describeMachine } from '../../engine/machine.ts';
import { openModel, readModelHeaders } from '../../hub/open-model.ts';
import { estimateRecipe, type MemoryEstimate, type RecipeEstimate } from '../../memory/predict.ts';
import { byteSize, grouped, percent, table } from '../../protocol/format.ts';
import type { Recipe } from '../../protocol/recipe-schema.ts';
import { USABLE_SHARE } from '../../run/choose-recompute.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { withOverrides } from '../job-command.ts';
import { readRecipe } from '../read-recipe.ts';

export const addEstimate: AddCommand = (program, surroundings) => {
  const command = withOverrides(
    program
      .command('estimate')
      .description('predict the memory of a run, and of the other methods beside it')
      .argument('<recipe>', 'a recipe'),
  );
  withCommonOptions(command, [
    'rowtune estimate spam.rowtune.yaml',
    'rowtune estimate spam.rowtune.yaml max_length=2048 recompute=block --json',
  ]).action((file: string, overrides: string[]) => runCommandWork(command, surroundings, context => estimate(context, file, overrides)));
};

async function estimate(context: CommandContext, file: string, overrides: readonly string[]): Promise<CommandResult> {
  const recipe = await readRecipe(context, file, overrides);
  const { availableBytes } = describeMachine().memory;
  const found = estimateRecipe({
    recipe,
    headers: await headersOf(context, recipe),
    usableBytes: USABLE_SHARE * availableBytes,
    allLevels: true,
    compare: true,
  });
  context.terminal.print(describe(found, availableBytes));
  if (found.totalBytes > availableBytes)
    context.terminal.say('warning', `the run needs about ${byteSize(found.totalBytes)}, and ${byteSize(availableBytes)} are free`);
  return { value: { ok: true, availableBytes, ...found } };
}

async function headersOf({ settings, terminal, cwd }: CommandContext, { model, revision }: Recipe) {
  const local = path.resolve(cwd, model);
  if (existsSync(local)) return readModelHeaders(local);
  const folder = await openModel(model, {
    cacheDir: settings.cacheDir,
    revision,
    ...settings.hub,
    onWarning: message => terminal.say('warning', message),
    onProgress: ({ bytes, totalBytes, file }) =>
      terminal.progress.update({ type: 'progress', phase: 'download', done: bytes, total: totalBytes, unit: 'bytes', message: file }),
  });
  await folder.weights.close();
  return { config: folder.config, tensors: folder.weights.tensors };
}

function describe(found: RecipeEstimate, availableBytes: number): string {
  const parts = [
    ['weights', byteSize(found.weightsBytes)],
    ['trained beside them', byteSize(found.trainedBytes)],
    ['gradients between batches', byteSize(found.gradientBytes)],
    ['optimizer', byteSize(found.optimizerBytes)],
    [`activations (recompute: ${found.recompute})`, byteSize(found.activationBytes)],
    ['engine', byteSize(found.engineOverheadBytes)],
    ['in all', `${byteSize(found.totalBytes)} of ${byteSize(availableBytes)} free`],
  ];
  const levels = found.levels.map(({ recompute, activationBytes, totalBytes, flops }) => [
    recompute,
    byteSize(activationBytes),
    byteSize(totalBytes),
    `${(flops / 1e9).toFixed(0)} GFLOP a batch`,
  ]);
  return [
    `${found.method} trains ${grouped(found.trainable)} of ${grouped(found.parameters)} parameters (${percent(found.trainableShare, 2)})`,
    table(parts),
    table([['recompute', 'activations', 'in all', 'work'], ...levels]),
    table([['method', 'trained', 'activations', 'in all'], ...[found, ...found.alternatives].map(methodRow)]),
  ].join('\n\n');
}

const methodRow = ({ method, r, trainable, activationBytes, totalBytes }: MemoryEstimate): string[] => [
  r === undefined ? method : `${method} r=${r}`,
  grouped(trainable),
  byteSize(activationBytes),
  byteSize(totalBytes),
];
