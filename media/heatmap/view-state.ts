/** The user's choices, which survive a reload. */
import { labelIn } from '../../trainer/catalog/labels.ts';
import type { HeatmapSourceInfo, ScoreSetInfo, ScoreSetRef } from '../../trainer/protocol/view/heatmap.ts';
import type { SelectionMode } from '../../trainer/selection.ts';
import { type ColorMapName, colorMapNames } from '../shared/color-maps.ts';
import { type ScaleName, scaleNames } from '../shared/scale.ts';
import type { Choice } from './cell/selection-view.ts';
import type { StripOrder } from './cell/strip-drawing.ts';
import { type Statistic, statistics, type View } from './grid/cell-values.ts';

export interface BudgetChoice {
  readonly kind: 'r' | 'ratio' | 'trained';
  readonly r: number;
  readonly ratio: number;
  /** How the budget is distributed over the layers. */
  readonly mode: SelectionMode;
  /** Minimum number of rows per layer, if rows compete across layers. */
  readonly least: number;
}

export interface HeatmapViewState {
  /** The set that is shown, and the set that it is compared with. */
  readonly a?: ScoreSetRef;
  readonly b?: ScoreSetRef;
  readonly view: View;
  readonly statistic: Statistic;
  readonly scale: ScaleName;
  /** Defaults to the color map in the settings. */
  readonly colorMap?: ColorMapName;
  /** Defaults to the budget of the run. */
  readonly budget?: BudgetChoice;
  /** Name of the module whose cell is open. */
  readonly cell?: string;
  readonly order: StripOrder;
  readonly isTable: boolean;
}

export const startState: HeatmapViewState = { view: 'importance', statistic: 'mean', scale: 'linear', order: 'position', isTable: false };

/** The defaults of SPSFT. */
export const startBudget: BudgetChoice = { kind: 'r', r: 32, ratio: 0.05, mode: 'per_layer', least: 1 };

const oneOf = <T extends string>(values: readonly T[], value: unknown, otherwise: T): T => values.find(each => each === value) ?? otherwise;

/** Restores a state that this or another version saved; drops parts that are not valid. */
export function restoreState(kept: Partial<Record<keyof HeatmapViewState, unknown>> | undefined): HeatmapViewState {
  if (!kept) return startState;
  return {
    a: refOf(kept.a),
    b: refOf(kept.b),
    view: oneOf<View>(['importance', 'difference', 'overlap'], kept.view, startState.view),
    statistic: oneOf(statistics, kept.statistic, startState.statistic),
    scale: oneOf(scaleNames, kept.scale, startState.scale),
    colorMap: colorMapNames.find(name => name === kept.colorMap),
    budget: budgetOf(kept.budget),
    cell: typeof kept.cell === 'string' ? kept.cell : undefined,
    order: oneOf<StripOrder>(['position', 'sorted'], kept.order, startState.order),
    isTable: kept.isTable === true,
  };
}

/** The fields of a saved value of any type. */
const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> => (typeof value === 'object' ? { ...value } : {});

function refOf(value: unknown): ScoreSetRef | undefined {
  const { path, key } = fieldsOf(value);
  return typeof path === 'string' && typeof key === 'string' ? { path, key } : undefined;
}

function budgetOf(value: unknown): BudgetChoice | undefined {
  const { kind, r, ratio, mode, least } = fieldsOf(value);
  if (typeof r !== 'number' || !Number.isInteger(r) || r < 1 || typeof ratio !== 'number' || !(ratio > 0 && ratio <= 1)) return undefined;
  return {
    kind: oneOf<BudgetChoice['kind']>(['r', 'ratio', 'trained'], kind, 'r'),
    r,
    ratio,
    mode: oneOf<SelectionMode>(['per_layer', 'global', 'proportional'], mode, 'per_layer'),
    least: typeof least === 'number' && Number.isInteger(least) && least >= 1 ? least : 1,
  };
}

export const choiceOf = ({ kind, r, ratio, mode, least }: BudgetChoice): Choice =>
  kind === 'trained' ? { kind } : { kind: 'budget', budget: kind === 'r' ? { r } : { ratio }, mode, least };

/** The initial budget of a source: the rows that it trains, or else its recipe's budget, or else a budget that every module can satisfy. */
export function budgetOfSource(source: HeatmapSourceInfo | undefined): BudgetChoice {
  const given = source?.budget;
  const fewest = Math.min(startBudget.r, ...(source?.modules ?? []).map(({ shape }) => shape[0] ?? 1));
  const start = {
    ...startBudget,
    r: Math.max(1, fewest),
    mode: source?.selectionMode ?? startBudget.mode,
    least: source?.minRows ?? startBudget.least,
  };
  const sized: BudgetChoice = !given ? start : 'r' in given ? { ...start, r: given.r } : { ...start, kind: 'ratio', ratio: given.ratio };
  return source?.selection ? { ...sized, kind: 'trained' } : sized;
}

/** Replaces a set that no longer exists with the first one; ends a comparison with such a set. */
export function settle(state: HeatmapViewState, sources: readonly HeatmapSourceInfo[]): HeatmapViewState {
  const exists = (ref: ScoreSetRef | undefined): boolean => {
    const source = sources.find(({ path }) => path === ref?.path);
    return source !== undefined && (source.sets.length === 0 ? ref?.key === '' : source.sets.some(({ key }) => key === ref?.key));
  };
  const [first] = sources;
  // A source that had no scores may have some now.
  const same = sources.find(({ path }) => path === state.a?.path) ?? first;
  const a = exists(state.a) ? state.a : same && { path: same.path, key: same.sets[0]?.key ?? '' };
  const b = exists(state.b) ? state.b : undefined;
  return { ...state, a, b, view: b ? state.view : 'importance' };
}

export const sourceOf = (sources: readonly HeatmapSourceInfo[], ref: ScoreSetRef | undefined): HeatmapSourceInfo | undefined =>
  sources.find(({ path }) => path === ref?.path);

export const setOf = (sources: readonly HeatmapSourceInfo[], ref: ScoreSetRef | undefined): ScoreSetInfo | undefined =>
  sourceOf(sources, ref)?.sets.find(({ key }) => key === ref?.key);

/** Describes a set: `spam · Taylor (rows), class ham`. */
export function describeSet(sources: readonly HeatmapSourceInfo[], ref: ScoreSetRef | undefined): string {
  const [source, set] = [sourceOf(sources, ref), setOf(sources, ref)];
  if (!source) return '';
  const measure = set ? ` · ${labelIn('measure', set.measure)}${set.className === undefined ? '' : `, class ${set.className}`}` : '';
  return `${source.label}${measure}`;
}
