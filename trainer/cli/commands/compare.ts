/** `rowtune compare`: the results of runs, and the settings in which they differ. */
import path from 'node:path';
import { ownSettings } from '../../protocol/recipe/own-settings.ts';
import { type Recipe, settings, settingValue } from '../../protocol/recipe/recipe-schema.ts';
import { hasEffect } from '../../protocol/recipe/rules/ignored-rules.ts';
import { distinctNames } from '../../protocol/run/run-names.ts';
import { settingValueText } from '../../protocol/run/sweep.ts';
import { TrainingTime } from '../../protocol/run/training-time.ts';
import { duration, table } from '../../protocol/text/format.ts';
import { formatOf, labelOf } from '../../protocol/text/metric-text.ts';
import { readMetrics } from '../../run/metrics-file.ts';
import { type RunSummary, readRunRecipe, summarizeRun } from '../../run/run-folder.ts';
import { CliError, EXIT } from '../cli-error.ts';
import { type AddCommand, type CommandContext, type CommandResult, runCommandWork, withCommonOptions } from '../command.ts';
import { requireRun } from '../job-command.ts';

export const addCompare: AddCommand = (program, surroundings) => {
  const command = program
    .command('compare')
    .description('compare runs: their newest results, and the settings in which they differ')
    .argument('<runs...>', 'run folders');
  withCommonOptions(command, ['rowtune compare runs/spam runs/spam-lora', 'rowtune compare runs/* --json']).action((runs: string[]) =>
    runCommandWork(command, surroundings, context => compare(context, runs)),
  );
};

interface Compared {
  readonly summary: RunSummary;
  readonly recipe: Recipe;
  /** Seconds of training. */
  readonly seconds: number;
}

async function compare(context: CommandContext, folders: readonly string[]): Promise<CommandResult> {
  const { terminal, cwd } = context;
  const found = await Promise.all(folders.map(folder => read(path.resolve(cwd, folder), folder, context)));
  const differences = differingSettings(found.map(({ recipe }) => recipe));
  const names = [...new Set(found.flatMap(({ summary }) => Object.keys(summary.metrics ?? {})))];
  const labels = distinctNames(found.map(({ summary }) => summary.runDir));
  const head = ['', ...found.map(({ summary }) => labels.get(summary.runDir) ?? summary.name)];
  const row = (name: string, cell: (run: Compared) => string): string[] => [name, ...found.map(cell)];
  terminal.print(
    table([
      head,
      row('State', ({ summary }) => summary.state),
      row('Step', ({ summary }) => `${summary.step}/${summary.totalSteps}`),
      row('Training time', ({ seconds }) => duration(seconds)),
      ...names.map(name => row(labelOf(name), ({ summary }) => metricText(name, summary.metrics?.[name]))),
    ]),
  );
  if (differences.length > 0)
    terminal.print(`\n${table([head, ...differences.map(({ setting, values }) => [setting, ...values.map(valueText)])])}`);
  else if (found.length > 1) terminal.print('\nall settings are equal');
  const runs = found.map(({ summary, seconds }) => ({ ...summary, seconds }));
  return { value: { ok: true, runs, differences } };
}

async function read(runDir: string, shown: string, { settings: ours }: CommandContext): Promise<Compared> {
  await requireRun(runDir, shown, ours);
  const [summary, recipe, lines] = await Promise.all([summarizeRun(runDir), readRunRecipe(runDir), readMetrics(runDir)]);
  if (summary === undefined)
    throw new CliError(`${shown} has no readable state.json`, {
      code: 'run-missing',
      exitStatus: EXIT.usage,
      hint: 'Leave this run out, or resume it so that its state is written again.',
    });
  const time = new TrainingTime();
  for (const line of lines) time.add(line);
  return { summary, recipe, seconds: time.seconds };
}

const metricText = (name: string, value: number | undefined): string => (value === undefined ? '' : formatOf(name)(value));
const valueText = (value: unknown): string => (value === undefined ? '' : settingValueText(value));

/** The settings, in recipe order, whose values differ between the recipes. A setting without effect on a run has no value there. */
function differingSettings(recipes: readonly Recipe[]): { readonly setting: string; readonly values: readonly unknown[] }[] {
  return Object.keys(settings).flatMap(setting => {
    const values = recipes.map(recipe => (hasEffect(recipe, setting) ? settingValue(recipe, setting) : undefined));
    const differs = new Set(values.map(value => JSON.stringify(value))).size > 1;
    return differs && !ownSettings.includes(setting) ? [{ setting, values }] : [];
  });
}
