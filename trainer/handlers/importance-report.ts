/** Computes the stability report: scores on two halves of the samples, their overlaps, and losses with rows or columns set to zero. */

import { type MeasureName, measureCatalog, needsData } from '../catalog/measures.ts';
import { writeJson, writeTextFile } from '../files/durable-file.ts';
import { ablate } from '../importance/ablation.ts';
import type { ModelScores } from '../importance/scores-file.ts';
import { chanceOverlap, countRows, overlapOf, overlapTable, scoresOfClass, specificRows } from '../importance/stability.ts';
import { type AblationReport, type ClassReport, reportMarkdown, type StabilityReport } from '../importance/stability-report.ts';
import { valueFor } from '../narrow.ts';
import type { TaskSetup } from '../objective/task-setup.ts';
import { type ComputeScoresParams, drawSamples, importanceDataOf, scoreSamples, selectionOf } from '../plan/choices/choose-rows.ts';
import { scoredUnit } from '../protocol/recipe/rows-budget.ts';
import { RunError } from '../run-error.ts';
import type { Selection } from '../selection.ts';

/**
 * Measures to compare with the recipe's own; all except the control need at most one pass. `fisher` and the class-wise measures are added
 * if the data allows.
 */
const COMPARED: readonly MeasureName[] = ['magnitude', 'wanda', 'activation', 'taylor_row', 'random'];

type ReportParams = ComputeScoresParams & { readonly setup: TaskSetup };

/** The scores of one half of the samples, and the rows or columns that they select. */
interface Half {
  readonly scores: ModelScores;
  readonly chosen: Selection;
}

/**
 * Writes `<outputFile>.report.json` and `.report.md`. @throws RunError 'no-data' if there are fewer than two samples
 */
export async function writeStabilityReport(params: ReportParams): Promise<StabilityReport> {
  const { outputFile, job } = params;
  const report = await computeReport(params);
  await writeJson(`${outputFile}.report.json`, report);
  const page = `${outputFile}.report.md`;
  await writeTextFile(page, reportMarkdown(report));
  job.log('info', `wrote ${page}`);
  return report;
}

async function computeReport(params: ReportParams): Promise<StabilityReport> {
  const { recipe, setup, units } = params;
  const drawn = drawSamples(setup.samples, recipe.importance);
  const [first, second] = [drawn.filter((_, i) => i % 2 === 0), drawn.filter((_, i) => i % 2 === 1)];
  if (second.length === 0)
    throw new RunError(
      'no-data',
      'the report compares two halves of the samples, but there are fewer than two',
      'Raise importance.samples to 2 or more',
    );
  const names = comparedMeasures(params, [first, second]);
  const halves = new Map<MeasureName, readonly [Half, Half]>();
  for (const measure of names) {
    const half = await halfOf(params, measure, first);
    // Without data, both halves are equal.
    halves.set(measure, [half, needsData(measure) ? await halfOf(params, measure, second) : half]);
  }
  const own = valueFor(halves, recipe.importance.measure);
  const classWise = halves.get('qm_taylor')?.[0].scores.classes;
  const classRows = (classWise?.names ?? []).map((_, label) =>
    selectionOf(params, scoresOfClass(classWise?.scores ?? new Map(), label, classWise?.names.length ?? 1)),
  );
  const chosen = own[0].chosen;
  const counts = units.map(({ name, weight }) => ({ chosen: chosen.get(name)?.length ?? 0, all: weight.shape[0] as number }));
  return {
    model: recipe.model,
    measure: recipe.importance.measure,
    ...(scoredUnit(recipe) === 'columns' && { unit: 'columns' }),
    chosenRows: countRows(chosen),
    rows: counts.reduce((sum, { all }) => sum + all, 0),
    samples: [first.length, second.length],
    chance: counts.reduce((sum, count) => sum + chanceOverlap(count.chosen, count.all), 0) / counts.length,
    halves: names.flatMap(measure => {
      const pair = halves.get(measure);
      return pair && needsData(measure) ? [{ measure, ...overlapOf(pair[0].chosen, pair[1].chosen) }] : [];
    }),
    measures: { names, overlaps: overlapTable(names.map(measure => halves.get(measure)?.[0].chosen ?? new Map())) },
    classes: classWise ? classReport(classWise.names, classWise.counts, classRows) : undefined,
    ablation: await ablation(params, second, {
      chosen,
      random: halves.get('random')?.[0].chosen,
      classNames: classWise?.names ?? [],
      classRows,
    }),
  };
}

/** The measures to compare; the recipe's own comes first. */
function comparedMeasures({ recipe, setup }: ReportParams, halves: readonly (readonly number[])[]): MeasureName[] {
  const isLabeled = halves.every(half => new Set(half.map(setup.labelOf).filter(label => label >= 0)).size >= 2);
  const possible = [...COMPARED, ...(recipe.packing ? [] : (['fisher'] as const)), ...(isLabeled ? (['qm_taylor'] as const) : [])];
  const fitting = possible.filter(measure => scoredUnit(recipe) === 'rows' || measureCatalog[measure].scoresColumns);
  return [...new Set([recipe.importance.measure, ...fitting])];
}

async function halfOf(params: ReportParams, measure: MeasureName, samples: readonly number[]): Promise<Half> {
  const scores = await scoreSamples(params, measure, needsData(measure) ? samples : []);
  return { scores, chosen: selectionOf(params, scores.scores) };
}

function classReport(names: readonly string[], samples: readonly number[], rows: readonly Selection[]): ClassReport {
  const specific = specificRows(rows);
  return {
    names,
    samples,
    overlaps: overlapTable(rows),
    specificShares: rows.map((own, label) => countRows(specific[label] ?? new Map()) / Math.max(1, countRows(own))),
  };
}

interface AblationSets {
  readonly chosen: Selection;
  readonly random: Selection | undefined;
  readonly classNames: readonly string[];
  readonly classRows: readonly Selection[];
}

async function ablation(
  params: ReportParams,
  samples: readonly number[],
  { chosen, random, classNames, classRows }: AblationSets,
): Promise<AblationReport> {
  const { recipe, base, setup, job } = params;
  const unit = scoredUnit(recipe);
  const { engine, task, source, classes, storage, hosted } = await importanceDataOf(params, samples);
  const none: Selection = new Map();
  const sets = [
    { name: 'none', rows: none },
    { name: `chosen by ${recipe.importance.measure}`, rows: chosen },
    ...(random ? [{ name: `random ${unit}`, rows: random }] : []),
    ...specificRows(classRows).map((rows, label) => ({ name: `only of ${classNames[label]}`, rows })),
  ];
  job.phase('ablation', `measuring the loss with ${sets.length - 1} sets of ${unit} set to zero`);
  let report: ((done: number) => void) | undefined;
  const names = classes ? classes.names : ['all samples'];
  const losses = await ablate({
    engine,
    model: setup.model,
    task,
    weights: base.folder.weights,
    source,
    storage,
    hosted,
    classes: names.length,
    classOf: classes ? classes.of : () => 0,
    unit,
    sets: sets.map(({ rows }) => rows),
    checkStop: () => job.checkStop(),
    onProgress: (done, total) => {
      report ??= job.progress('ablation', total, 'batches');
      report(done);
    },
  });
  return { columns: names, sets: sets.map(({ name, rows }, i) => ({ name, rows: countRows(rows), losses: losses[i] ?? [] })) };
}
