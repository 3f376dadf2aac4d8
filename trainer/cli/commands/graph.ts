/** `rowtune graph`: the compiled programs of a recipe as text. */
import { Option } from 'commander';
import { plannedEngine } from '../../catalog/engines.ts';
import { deviceHere } from '../../engine/device-here.ts';
import { FUSION_PASSES } from '../../graph/fusion/plan.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { withOverrides } from '../job-command.ts';
import { modelHeaders } from '../model-headers.ts';
import { readRecipe } from '../read-recipe.ts';
import { withReader } from '../with-reader.ts';

interface GraphOptions {
  readonly signature?: string;
  readonly fused?: boolean;
  readonly after?: string;
  readonly memory?: boolean;
}

export const addGraph: AddCommand = (program, surroundings) => {
  const command = withOverrides(
    program
      .command('graph')
      .description('print the compiled programs of a run: every step with its shape and cost')
      .argument('<recipe>', 'a recipe')
      .addOption(new Option('--signature <name>', 'print only this program, for example train/2x256x510 (default: all)'))
      .option('--fused', 'print the fused steps that the engine runs')
      .addOption(
        new Option('--after <pass>', 'print the steps after this pass of the fusion planner').choices(
          FUSION_PASSES.map(({ name }) => name),
        ),
      )
      .option('--memory', 'print the live memory in MiB at each step; * marks the peak'),
  );
  withCommonOptions(command, [
    'rowtune graph spam.rowtune.yaml',
    'rowtune graph spam.rowtune.yaml --fused --memory recompute=block',
  ]).action((file: string, overrides: string[], options: GraphOptions) =>
    runCommandWork(command, surroundings, context => printGraph(context, file, overrides, options)),
  );
};

async function printGraph(
  context: CommandContext,
  file: string,
  overrides: readonly string[],
  { signature: wanted, after, fused = after !== undefined, memory = false }: GraphOptions,
): Promise<CommandResult> {
  const { recipe, source } = await readRecipe(context, file, { overrides });
  const engine = plannedEngine(recipe.engine);
  const headers = await modelHeaders(context, recipe, source.baseDir);
  const params = {
    recipe,
    dataIn: { baseDir: source.baseDir, cacheDir: context.settings.cacheDir },
    engine,
    device: deviceHere(engine, context.settings.cacheDir).device,
    signature: wanted,
    fused,
    after,
    memory,
    ...headers,
  } as const;
  const { text, signatures } = await withReader(reader => reader.ask('graph', params, `Building the programs of ${file}`));
  if (text === undefined) {
    const names = signatures.map(({ name }) => name).join(', ');
    throw new CliError(`There is no signature '${wanted}'. This run has ${names}`, { code: 'usage', exitStatus: EXIT.usage });
  }
  context.terminal.print(text);
  return { value: { ok: true, engine, signatures } };
}
