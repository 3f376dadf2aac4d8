/** Parallel coordinates: one axis for each setting that differs between runs, and one for the result. Pure. */
import { labelOfSetting } from '../../trainer/catalog/labels.ts';
import { compact } from '../../trainer/protocol/text/format.ts';
import { createScale, type Scale, type Tick } from '../shared/scale.ts';
import type { ComparedRun } from './compared-run.ts';
import { recipeRows } from './recipe-difference.ts';
import { bestOf, resultColumns } from './results.ts';

export interface Axis {
  readonly key: string;
  readonly label: string;
  /** Ticks with positions from 0 (lower end) to 1. */
  readonly ticks: readonly Tick[];
  /** Positions by run; undefined if the run has no value. */
  readonly positions: readonly (number | undefined)[];
}

export interface Coordinates {
  /** The axes; the last one is the result. */
  readonly axes: readonly Axis[];
  /** The runs with the best result. */
  readonly best: ReadonlySet<number>;
}

/** Minimum number of runs; the tables show two runs better. */
const FEWEST_RUNS = 3;
/** Maximum number of settings that fit side by side. */
const MAX_SETTINGS = 8;
const MAX_TICKS = 5;
/** Minimum distance between readable tick labels, as a share of the axis. */
const MIN_GAP = 0.08;
/** Ratio of the largest to the smallest value above which an axis is logarithmic, as for learning rates in a sweep. */
const LOG_SPAN = 15;

/** Returns undefined if there is nothing to compare: too few runs, no setting that differs, or no result yet. */
export function coordinatesOf(runs: readonly ComparedRun[]): Coordinates | undefined {
  const models = runs.map(({ model }) => model);
  const settings = recipeRows(models.map(({ recipe }) => recipe?.entries)).filter(({ differs }) => differs);
  const results = resultColumns(models);
  const result = ['eval_loss', 'mean_loss'].flatMap(id => results.find(column => column.id === id) ?? [])[0];
  if (runs.length < FEWEST_RUNS || settings.length === 0 || result === undefined) return undefined;
  const axes = settings.slice(0, MAX_SETTINGS).map(({ key, values }) => settingAxis(key, values));
  return { axes: [...axes, numberAxis(result.id, result.label, result.values)], best: bestOf(result) };
}

function settingAxis(key: string, values: readonly (string | undefined)[]): Axis {
  const numbers = values.map(value => (value === undefined ? undefined : Number(value)));
  if (numbers.every(value => value === undefined || Number.isFinite(value))) return numberAxis(key, key, numbers);
  const names = [...new Set(values.filter(value => value !== undefined))];
  const positionOf = (name: string): number => (names.length < 2 ? 0.5 : names.indexOf(name) / (names.length - 1));
  return {
    key,
    label: key,
    ticks: names.map(name => ({ position: positionOf(name), label: labelOfSetting(key, name) ?? name })),
    positions: values.map(value => (value === undefined ? undefined : positionOf(value))),
  };
}

function numberAxis(key: string, label: string, values: readonly (number | undefined)[]): Axis {
  const known = values.filter(value => value !== undefined);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const scale = createScale(low > 0 && high / low >= LOG_SPAN ? 'log' : 'linear', known);
  return {
    key,
    label,
    ticks: ticksAt(known, scale) ?? scale.ticks(MAX_TICKS),
    positions: values.map(value => (value === undefined ? undefined : scale.position(value))),
  };
}

/** Returns the values themselves as ticks, if they are few and far enough apart. */
function ticksAt(values: readonly number[], scale: Scale): Tick[] | undefined {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  const ticks = distinct.map(value => ({ position: scale.position(value), label: compact(value) }));
  const isApart = ticks.every(({ position }, i) => i === 0 || position - (ticks[i - 1]?.position ?? 0) >= MIN_GAP);
  return ticks.length <= MAX_TICKS && isApart ? ticks : undefined;
}
