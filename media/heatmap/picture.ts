/** Computes everything that is drawn from the choices and the available scores. Pure. */
import { labelIn } from '../../trainer/catalog/labels.ts';
import type { HeatmapModule, HeatmapSourceInfo } from '../../trainer/protocol/view/heatmap.ts';
import { type ColorMap, type ColorMapName, colorMap, colorMapNames } from '../shared/color-maps.ts';
import type { Scale } from '../shared/scale.ts';
import {
  type Choice,
  cellOverlap,
  jaccard,
  type Overlap,
  selectedCounts,
  selectedParameters,
  type TrainedRows,
  trainedRows,
} from './cell/selection-view.ts';
import { differences, importanceValues, type Statistic, scaleOf } from './grid/cell-values.ts';
import { deriveGrid, type Grid } from './grid/grid.ts';
import type { ScoreStore, SetScores } from './score-store.ts';
import { type BudgetChoice, budgetOfSource, choiceOf, type HeatmapViewState, setOf, sourceOf } from './view-state.ts';

export interface Picture {
  readonly state: HeatmapViewState;
  readonly sourceA: HeatmapSourceInfo | undefined;
  readonly sourceB: HeatmapSourceInfo | undefined;
  readonly modules: readonly HeatmapModule[];
  readonly names: readonly string[];
  readonly grid: Grid;
  readonly a: SetScores;
  readonly b: SetScores;
  readonly trained: { readonly a: TrainedRows; readonly b: TrainedRows };
  readonly budget: BudgetChoice;
  /** Whether the trained rows can be shown. */
  readonly hasTrained: boolean;
  readonly choice: Choice;
  /** Selected rows of each module. */
  readonly counts: Int32Array;
  readonly countsB?: Int32Array;
  readonly problem?: string;
  /** True while the counts are per layer because not all rows are sorted yet. */
  readonly isPending: boolean;
  readonly selection: {
    readonly rows: number;
    readonly ofRows: number;
    readonly parameters?: number;
    /** Parameters of the scored modules, and of the whole model if known. */
    readonly ofParameters?: number;
    readonly modelParameters?: number;
  };
  /** The value of each cell and its position in the color map. */
  readonly values: Float64Array;
  readonly positions: Float64Array;
  readonly scale: Scale;
  readonly map: ColorMap;
  /** The scale of scores when `map` shows differences. */
  readonly bandMap: ColorMap;
  readonly meaning: string;
  readonly overlaps: readonly (Overlap | undefined)[];
  /** Over all cells with a known overlap. */
  readonly overall?: Overlap;
}

const STATISTIC_WORDS = { mean: 'mean score of the rows', max: 'highest score of a row', selected: 'share of selected rows' } as const;

/** Memoized, because every move of the slider needs the grid. */
let known: { readonly key: string; readonly grid: Grid } | undefined;
function gridOf(names: readonly string[]): Grid {
  const key = names.join('\n');
  if (known?.key !== key) known = { key, grid: deriveGrid(names) };
  return known.grid;
}

/** All modules of both sources, those of the first in its order. */
function modulesOf(a: HeatmapSourceInfo | undefined, b: HeatmapSourceInfo | undefined): HeatmapModule[] {
  const modules = new Map<string, HeatmapModule>();
  for (const module of [...(a?.modules ?? []), ...(b?.modules ?? [])]) if (!modules.has(module.name)) modules.set(module.name, module);
  return [...modules.values()];
}

export const colorMapOf = (state: HeatmapViewState, setting: string): ColorMapName =>
  state.colorMap ?? colorMapNames.find(name => name === setting) ?? 'viridis';

/** A run without scores still shows the rows that it trains. */
const statisticOf = ({ statistic }: HeatmapViewState, source: HeatmapSourceInfo | undefined): Statistic =>
  source?.sets.length === 0 ? 'selected' : statistic;

export function makePicture(
  chosen: HeatmapViewState,
  sources: readonly HeatmapSourceInfo[],
  store: ScoreStore,
  colorSetting: string,
): Picture {
  const [sourceA, sourceB] = [sourceOf(sources, chosen.a), sourceOf(sources, chosen.b)];
  const state = { ...chosen, statistic: statisticOf(chosen, sourceA) };
  const modules = modulesOf(sourceA, sourceB);
  const names = modules.map(({ name }) => name);
  const [a, b] = [store.of(state.a), store.of(state.b)];
  const trained = { a: trainedRows(sourceA), b: trainedRows(sourceB) };
  const hasTrained = haveTrained(sourceA, sourceB);
  const budget = withinReach(state.budget ?? budgetOfSource(sourceA), hasTrained);
  const choice = choiceOf(budget);
  // Each side uses its own modules: modules of the other source do not count toward its budget.
  const ownModules = sourceA?.modules ?? [];
  const { counts: ownCounts, problem, isPending } = selectedCounts(ownModules, choice, trained.a, a);
  const countsB = state.b ? selectedCounts(sourceB?.modules ?? [], choice, trained.b, b) : undefined;
  const counts = spread(ownModules, ownCounts, names);
  const allCountsB = countsB && spread(sourceB?.modules ?? [], countsB.counts, names);
  const shares = Float64Array.from(counts, (count, i) => count / (modules[i]?.shape[0] ?? Number.NaN));
  const { statistic, view, scale: scaleName } = state;
  const hasB = state.b !== undefined;
  const overlaps = names.map((module, i) =>
    hasB
      ? overlapIfCheap({
          module,
          rows: modules[i]?.shape[0] ?? 0,
          counts: { a: counts[i] as number, b: allCountsB?.[i] ?? 0 },
          choice,
          a,
          b,
          trained,
        })
      : undefined,
  );
  const valuesA = importanceValues(names, a, statistic, shares);
  const { values, meaning } = valuesOf();
  const scale = scaleOf(view, statistic, scaleName, values);
  return {
    state,
    sourceA,
    sourceB,
    modules,
    names,
    grid: gridOf(names),
    a,
    b,
    trained,
    budget,
    hasTrained,
    choice,
    counts,
    countsB: allCountsB,
    problem,
    isPending: isPending === true || countsB?.isPending === true,
    selection: {
      rows: counts.reduce((sum, count) => sum + count, 0),
      ofRows: ownModules.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0),
      parameters: selectedParameters(ownModules, ownCounts),
      ofParameters: selectedParameters(
        ownModules,
        Int32Array.from(ownModules, ({ shape }) => shape[0] ?? 0),
      ),
      modelParameters: sourceA?.modelParameters,
    },
    values,
    positions: values.map(value => scale.position(value)),
    scale,
    map: colorMap(view === 'difference' ? 'difference' : colorMapOf(state, colorSetting)),
    bandMap: colorMap(colorMapOf(state, colorSetting)),
    meaning,
    overlaps,
    overall: sumOf(overlaps),
  };

  function valuesOf(): { readonly values: Float64Array; readonly meaning: string } {
    const [setA, setB] = [setOf(sources, state.a), setOf(sources, state.b)];
    switch (view) {
      case 'importance':
        return {
          values: valuesA,
          meaning: `${statistic === 'selected' || setA === undefined ? '' : `${labelIn('measure', setA.measure)}: `}${STATISTIC_WORDS[statistic]}`,
        };
      case 'overlap':
        return {
          values: Float64Array.from(overlaps, overlap => (overlap ? jaccard(overlap) : Number.NaN)),
          meaning: 'Jaccard index of the selected rows of A and B',
        };
      case 'difference': {
        const sharesB = Float64Array.from(modules, ({ shape }, i) => (allCountsB?.[i] ?? 0) / (shape[0] ?? Number.NaN));
        const valuesB = importanceValues(names, b, statistic, sharesB);
        const { values, unit } = differences(valuesA, valuesB, scaleName, statistic === 'selected' || setA?.measure === setB?.measure);
        return { values, meaning: `${STATISTIC_WORDS[statistic]}: ${unit}` };
      }
    }
  }
}

/** The counts of these modules at their positions among all; 0 elsewhere. */
function spread(modules: readonly HeatmapModule[], counts: Int32Array, names: readonly string[]): Int32Array {
  const byName = new Map(modules.map(({ name }, i) => [name, counts[i] as number]));
  return Int32Array.from(names, name => byName.get(name) ?? 0);
}

/** Rows are sorted in the background: see order-queue.ts. */
function overlapIfCheap(params: Parameters<typeof cellOverlap>[0]): Overlap | undefined {
  const { choice, a, b, module } = params;
  if (choice.kind === 'budget' && !(a.get(module)?.isOrdered && b.get(module)?.isOrdered)) return undefined;
  return cellOverlap(params);
}

/** 'as trained' needs a run, and a comparison needs two different runs: one run did not choose its rows twice. */
const haveTrained = (a: HeatmapSourceInfo | undefined, b: HeatmapSourceInfo | undefined): boolean =>
  a?.selection !== undefined && (b === undefined || (b.selection !== undefined && b.path !== a.path));

const withinReach = (budget: BudgetChoice, hasTrained: boolean): BudgetChoice =>
  budget.kind === 'trained' && !hasTrained ? { ...budget, kind: 'r' } : budget;

function sumOf(overlaps: readonly (Overlap | undefined)[]): Overlap | undefined {
  const there = overlaps.filter(overlap => overlap !== undefined);
  if (there.length === 0) return undefined;
  return { both: there.reduce((sum, { both }) => sum + both, 0), either: there.reduce((sum, { either }) => sum + either, 0) };
}
