/** Computes everything that is drawn from the choices and the available scores. Pure. */
import { entryOf } from '../../trainer/catalog/entries.ts';
import { labelIn } from '../../trainer/catalog/labels.ts';
import { measureCatalog } from '../../trainer/catalog/measures.ts';
import { moduleOfColumns } from '../../trainer/protocol/view/column-names.ts';
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
import type { PageState } from './page-state.ts';
import type { ScoreStore, SetScores } from './score-store.ts';
import { type BudgetChoice, budgetOfSource, choiceOf, describeSet, type HeatmapViewState, setOf, sourceOf } from './view-state.ts';

/** The comparison: the choices, the two sources, and their modules and scores. */
interface Sides {
  readonly state: HeatmapViewState;
  readonly sourceA: HeatmapSourceInfo | undefined;
  readonly sourceB: HeatmapSourceInfo | undefined;
  /** The titles of both sets: "spam · Taylor (rows)". */
  readonly titleA: string;
  readonly titleB?: string;
  /** The names of both sets' measures. */
  readonly measureA?: string;
  readonly measureB?: string;
  readonly modules: readonly HeatmapModule[];
  readonly names: readonly string[];
  readonly a: SetScores;
  readonly b: SetScores;
  readonly trained: { readonly a: TrainedRows; readonly b: TrainedRows };
}

/** The name of the scored units of a module: its rows, or the columns of its weight. */
export type Units = 'rows' | 'columns';

export const oneOf = (units: Units): 'row' | 'column' => (units === 'columns' ? 'column' : 'row');

/** The rows that the budget selects. */
interface Selected {
  readonly budget: BudgetChoice;
  /** True if the trained rows can be shown. */
  readonly hasTrained: boolean;
  readonly choice: Choice;
  /** Number of selected rows of each module. */
  readonly counts: Int32Array;
  readonly countsB?: Int32Array;
  readonly problem?: string;
  /** True while the counts are per layer because not all rows are sorted yet. */
  readonly isPending: boolean;
  /** True if the selection depends on the order of rows, which is computed in the background. */
  readonly needsOrders: boolean;
  readonly selection: {
    readonly rows: number;
    readonly ofRows: number;
    /** The name of the counted units. */
    readonly units: Units;
    readonly parameters?: number;
    /** Number of parameters of the scored modules; of the whole model in `modelParameters`, if known. */
    readonly ofParameters?: number;
    readonly modelParameters?: number;
  };
}

export interface Picture extends Sides, Selected {
  readonly grid: Grid;
  /** Index of the module whose cell is open. */
  readonly opened?: number;
  /** The value of each cell, and its position in the color map. */
  readonly values: Float64Array;
  readonly positions: Float64Array;
  readonly scale: Scale;
  readonly map: ColorMap;
  readonly mapName: ColorMapName;
  /** The color map of scores while `map` shows differences. */
  readonly bandMap: ColorMap;
  readonly meaning: string;
  readonly overlaps: readonly (Overlap | undefined)[];
  /** The overlap over all cells for which it is known. */
  readonly overall?: Overlap;
}

/** Describes a statistic of rows or columns. */
function wordsOf(statistic: Statistic, units: Units): string {
  switch (statistic) {
    case 'mean':
      return `mean score of the ${units}`;
    case 'max':
      return `highest score of a ${oneOf(units)}`;
    case 'selected':
      return `share of selected ${units}`;
  }
}

/** The memoized grid, which is needed on every move of the slider. */
let known: { readonly key: string; readonly grid: Grid } | undefined;
function gridOf(names: readonly string[]): Grid {
  const key = names.join('\n');
  if (known?.key !== key) known = { key, grid: deriveGrid(names) };
  return known.grid;
}

/** The modules of both sources; those of the first come first, in its order. */
function modulesOf(a: HeatmapSourceInfo | undefined, b: HeatmapSourceInfo | undefined): HeatmapModule[] {
  const modules = new Map<string, HeatmapModule>();
  for (const module of [...(a?.modules ?? []), ...(b?.modules ?? [])]) if (!modules.has(module.name)) modules.set(module.name, module);
  return [...modules.values()];
}

/** The statistic to show; a run without scores still shows its trained rows. */
const statisticOf = ({ statistic }: HeatmapViewState, source: HeatmapSourceInfo | undefined): Statistic =>
  source?.sets.length === 0 ? 'selected' : statistic;

/** The inputs of a picture, except the scores. */
export type PictureInput = Pick<PageState, 'choices' | 'sources' | 'colorSetting'>;

export function makePicture(input: PictureInput, store: ScoreStore): Picture {
  const sides = sidesOf(input, store);
  const selected = selectedOf(sides);
  const overlaps = overlapsOf(sides, selected);
  const { values, meaning } = valuesOf(sides, selected, overlaps);
  const { view, statistic, scale: scaleName, cell, colorMap: chosenMap } = sides.state;
  const scale = scaleOf(view, statistic, scaleName, values);
  const mapName = chosenMap ?? colorMapNames.find(name => name === input.colorSetting) ?? 'viridis';
  const opened = cell === undefined ? -1 : sides.names.indexOf(cell);
  return {
    ...sides,
    ...selected,
    grid: gridOf(selected.selection.units === 'columns' ? sides.names.map(moduleOfColumns) : sides.names),
    opened: opened < 0 ? undefined : opened,
    values,
    positions: values.map(value => scale.position(value)),
    scale,
    map: colorMap(view === 'difference' ? 'difference' : mapName),
    mapName,
    bandMap: colorMap(mapName),
    meaning,
    overlaps,
    overall: sumOf(overlaps),
  };
}

function sidesOf({ choices, sources }: PictureInput, store: ScoreStore): Sides {
  const [sourceA, sourceB] = [sourceOf(sources, choices.a), sourceOf(sources, choices.b)];
  const state = { ...choices, statistic: statisticOf(choices, sourceA) };
  const modules = modulesOf(sourceA, sourceB);
  return {
    state,
    sourceA,
    sourceB,
    titleA: describeSet(sources, state.a),
    titleB: state.b && describeSet(sources, state.b),
    measureA: setOf(sources, state.a)?.measure,
    measureB: setOf(sources, state.b)?.measure,
    modules,
    names: modules.map(({ name }) => name),
    a: store.of(state.a),
    b: store.of(state.b),
    trained: { a: trainedRows(sourceA), b: trainedRows(sourceB) },
  };
}

/** Selects rows on each side from its own modules; modules of the other source do not count toward its budget. */
function selectedOf({ state, sourceA, sourceB, names, a, b, trained }: Sides): Selected {
  const hasTrained = haveTrained(sourceA, sourceB);
  const budget = availableBudget(state.budget ?? budgetOfSource(sourceA), hasTrained);
  const choice = choiceOf(budget);
  const [modulesA, modulesB] = [sourceA?.modules ?? [], sourceB?.modules ?? []];
  const own = selectedCounts(modulesA, choice, trained.a, a);
  const other = state.b && selectedCounts(modulesB, choice, trained.b, b);
  const counts = spread(modulesA, own.counts, names);
  const rowsOf = ({ shape }: HeatmapModule): number => shape[0] ?? 0;
  return {
    budget,
    hasTrained,
    choice,
    counts,
    countsB: other && spread(modulesB, other.counts, names),
    problem: own.problem,
    isPending: own.isPending === true || other?.isPending === true,
    needsOrders: choice.kind === 'budget' && (state.b !== undefined || choice.mode !== 'per_layer'),
    selection: {
      rows: counts.reduce((sum, count) => sum + count, 0),
      ofRows: modulesA.reduce((sum, module) => sum + rowsOf(module), 0),
      units: unitsOf(modulesA),
      parameters: selectedParameters(modulesA, own.counts),
      ofParameters: selectedParameters(modulesA, Int32Array.from(modulesA, rowsOf)),
      modelParameters: sourceA?.modelParameters,
    },
  };
}

function overlapsOf(
  { state, names, modules, a, b, trained }: Sides,
  { counts, countsB, choice }: Selected,
): readonly (Overlap | undefined)[] {
  if (state.b === undefined) return names.map(() => undefined);
  return names.map((module, i) =>
    overlapIfCheap({
      module,
      rows: modules[i]?.shape[0] ?? 0,
      counts: { a: counts[i] ?? 0, b: countsB?.[i] ?? 0 },
      choice,
      a,
      b,
      trained,
    }),
  );
}

/** The values that determine the colors of the cells, and what they mean. */
function valuesOf(
  { state, names, modules, a, b, measureA, measureB }: Sides,
  { counts, countsB, selection: { units } }: Selected,
  overlaps: readonly (Overlap | undefined)[],
): { readonly values: Float64Array; readonly meaning: string } {
  const { view, statistic, scale } = state;
  const shareOf = (count: number | undefined, i: number): number => (count ?? 0) / (modules[i]?.shape[0] ?? Number.NaN);
  const valuesA = importanceValues(names, a, statistic, Float64Array.from(counts, shareOf));
  switch (view) {
    case 'importance': {
      const measure = statistic === 'selected' || measureA === undefined ? '' : `${labelIn('measure', measureA)}: `;
      return { values: valuesA, meaning: `${measure}${wordsOf(statistic, units)}` };
    }
    case 'overlap':
      return {
        values: Float64Array.from(overlaps, overlap => (overlap ? jaccard(overlap) : Number.NaN)),
        meaning: `Jaccard index of the selected ${units} of A and B`,
      };
    case 'difference': {
      const sharesB = Float64Array.from(names, (_, i) => shareOf(countsB?.[i], i));
      const valuesB = importanceValues(names, b, statistic, sharesB);
      const { values, unit } = differences(valuesA, valuesB, scale, statistic === 'selected' || measureA === measureB);
      return { values, meaning: `${wordsOf(statistic, units)}: ${unit}` };
    }
  }
}

/** Arranges the counts of these modules at their positions among all names; 0 elsewhere. */
function spread(modules: readonly HeatmapModule[], counts: Int32Array, names: readonly string[]): Int32Array {
  const byName = new Map(modules.map(({ name }, i) => [name, counts[i] ?? 0]));
  return Int32Array.from(names, name => byName.get(name) ?? 0);
}

/** Returns undefined until the rows are sorted, which happens in the background (order-queue.ts). */
function overlapIfCheap(params: Parameters<typeof cellOverlap>[0]): Overlap | undefined {
  const { choice, a, b, module } = params;
  if (choice.kind === 'budget' && !(a.get(module)?.isOrdered && b.get(module)?.isOrdered)) return undefined;
  return cellOverlap(params);
}

/**
 * True if 'as trained' is possible: it needs a run, and a comparison needs two different runs, because one run chose its rows only once.
 */
const haveTrained = (a: HeatmapSourceInfo | undefined, b: HeatmapSourceInfo | undefined): boolean =>
  a?.selection !== undefined && (b === undefined || (b.selection !== undefined && b.path !== a.path));

const availableBudget = (budget: BudgetChoice, hasTrained: boolean): BudgetChoice =>
  budget.kind === 'trained' && !hasTrained ? { ...budget, kind: 'r' } : budget;

function sumOf(overlaps: readonly (Overlap | undefined)[]): Overlap | undefined {
  const there = overlaps.filter(overlap => overlap !== undefined);
  if (there.length === 0) return undefined;
  return { both: there.reduce((sum, { both }) => sum + both, 0), either: there.reduce((sum, { either }) => sum + either, 0) };
}

/** Explains that one source has scores by row and the other by column, or that they share no modules; undefined otherwise. */
export function incomparableNote({ sourceA, sourceB }: Pick<Picture, 'sourceA' | 'sourceB'>): string | undefined {
  const [a, b] = [sourceA?.modules ?? [], sourceB?.modules ?? []];
  const own = new Set(a.map(({ name }) => name));
  if (a.length === 0 || b.length === 0 || b.some(({ name }) => own.has(name))) return undefined;
  const [of, other] = [a, b].map(modules => unitsOf(modules));
  if (of === other) return 'A and B have no module in common, so they cannot be compared.';
  return `A has ${of} and B has ${other}, which cannot be compared with each other. Each has its own cells.`;
}

const unitsOf = (modules: readonly HeatmapModule[]): Units =>
  modules.length > 0 && modules.every(({ unit }) => unit === 'columns') ? 'columns' : 'rows';

/** Explains that scores are random; undefined for other measures. */
export function randomScoresNote({ measureA, selection: { units } }: Pick<Picture, 'measureA' | 'selection'>): string | undefined {
  return entryOf(measureCatalog, measureA)?.needs === 'nothing'
    ? `These ${units} were chosen at random: colors show the draw, not importance. To see which rows matter for your data, use Rowtune: Compute Importance on the recipe.`
    : undefined;
}
