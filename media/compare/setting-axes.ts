/** Parallel coordinates: an axis for each setting in which runs differ, and one for their result. Pure. */
import { labelOfSetting } from '../../trainer/catalog/labels.ts';
import { compact } from '../../trainer/protocol/text/format.ts';
import { createScale, type Scale, type Tick } from '../shared/scale.ts';
import type { ComparedRun } from './compared-run.ts';
import { recipeRows } from './recipe-difference.ts';
import { bestOf, resultColumns } from './results.ts';

export interface Axis {
  readonly key: string;
  readonly label: string;
  /** From 0 at the lower end to 1. */
  readonly ticks: readonly Tick[];
  /** By run; undefined where a run has no value. */
  readonly positions: readonly (number | undefined)[];
}

export interface Coordinates {
  /** The result is the last one. */
  readonly axes: readonly Axis[];
  /** The runs with the best result. */
  readonly best: ReadonlySet<number>;
}

/** Two runs are a line each, which the tables show better. */
const FEWEST_RUNS = 3;
/** As many fit next to each other. */
const MOST_SETTINGS = 8;
const MOST_TICKS = 5;
/** The least distance of two texts that can be read. */
const LEAST_GAP = 0.08;
/** Rates of a sweep are spread over powers of ten. */
const LOG_SPAN = 15;

/** Undefined where there is nothing to compare: too few runs, no setting in which they differ, or no result yet. */
export function coordinatesOf(runs: readonly ComparedRun[]): Coordinates | undefined {
  const models = runs.map(({ model }) => model);
  const settings = recipeRows(models.map(({ recipe }) => recipe?.entries)).filter(({ differs }) => differs);
  const results = resultColumns(models);
  const result = ['eval_loss', 'mean_loss'].flatMap(id => results.find(column => column.id === id) ?? [])[0];
  if (runs.length < FEWEST_RUNS || settings.length === 0 || result === undefined) return undefined;
  const axes = settings.slice(0, MOST_SETTINGS).map(({ key, values }) => settingAxis(key, values));
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
    ticks: ticksAt(known, scale) ?? scale.ticks(MOST_TICKS),
    positions: values.map(value => (value === undefined ? undefined : scale.position(value))),
  };
}

/** The values themselves, where they are few and lie apart. */
function ticksAt(values: readonly number[], scale: Scale): Tick[] | undefined {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  const ticks = distinct.map(value => ({ position: scale.position(value), label: compact(value) }));
  const isApart = ticks.every(({ position }, i) => i === 0 || position - (ticks[i - 1]?.position ?? 0) >= LEAST_GAP);
  return ticks.length <= MOST_TICKS && isApart ? ticks : undefined;
}
