/** The part of each weight that a recipe trains if it does not say which. */
import { entryOf } from '../../catalog/entries.ts';
import { measureWithoutScores } from '../../catalog/measures.ts';
import { methodCatalog } from '../../catalog/methods.ts';
import { learnsTokens } from '../../catalog/objectives.ts';
import { isRecord } from '../../narrow.ts';
import type { Given } from './setting.ts';

/**
 * The default: columns for a language model that learns from texts, chosen at random (docs/choosing.md, "Rows, columns or channels"). A
 * recipe with settings for choosing rows trains rows.
 */
export function defaultUnit(given: Given): 'rows' | 'columns' {
  const method = entryOf(methodCatalog, given.method) ?? methodCatalog.spsft;
  return method.trainsColumns && learnsTokens(given.task) && !choosesByWrittenScores(given) ? 'columns' : 'rows';
}

/** Returns whether the value of a setting implies that rows are chosen. */
type SaysRows = (value: unknown, given: Given) => boolean;

const isThere: SaysRows = value => value !== undefined;
const isOn: SaysRows = value => value === true;
const never: SaysRows = () => false;

/**
 * Settings that imply a choice of rows by scores: a measure, scores, dependencies or choosing again, none of which the default columns
 * have. Random rows are rows too, so that measures can be compared. But if all settings are filled in, the default measure of columns is
 * present as well and implies nothing.
 */
const CHOICE: Readonly<Record<string, SaysRows>> = {
  'importance.measure': (measure, { trains }) => measure !== undefined && !(trains === 'columns' && measure === measureWithoutScores),
  'importance.scores': isThere,
  'importance.choose_again_after': isThere,
  'importance.selection': selection => (selection ?? 'per_layer') !== 'per_layer',
  'importance.heads': isOn,
  'importance.samples': never,
  'importance.exact': never,
  dependencies: isOn,
};

/** True if one of these settings implies rows, or a sweep varies one of them. */
function choosesByWrittenScores(given: Given): boolean {
  const over = given['sweep.over'];
  return Object.entries(CHOICE).some(([path, says]) => says(given[path], given) || (isRecord(over) && Object.hasOwn(over, path)));
}
