/** The part of each weight that a recipe trains if it does not say which. */
import { entryOf } from '../../catalog/entries.ts';
import { measureWithoutScores } from '../../catalog/measures.ts';
import { methodCatalog } from '../../catalog/methods.ts';
import { learnsTokens } from '../../catalog/objectives.ts';
import { isRecord } from '../../narrow.ts';
import type { Given } from './setting.ts';

/**
 * Columns for a language model that learns from texts, which are chosen at random (docs/choosing.md, "Rows, columns or channels"). A recipe that
 * says how rows are chosen trains rows.
 */
export function defaultUnit(given: Given): 'rows' | 'columns' {
  const method = entryOf(methodCatalog, given.method) ?? methodCatalog.spsft;
  return method.trainsColumns && learnsTokens(given.task) && !choosesByWrittenScores(given) ? 'columns' : 'rows';
}

/** Whether a value of a setting says that rows are chosen. */
type SaysRows = (value: unknown, given: Given) => boolean;

const isThere: SaysRows = value => value !== undefined;
const isOn: SaysRows = value => value === true;
const never: SaysRows = () => false;

/**
 * The settings of a choice by scores: rows have a measure, scores, companions and a second choice, and the default columns none of these. Random
 * rows are rows too, so that measures can be compared; but where all settings are filled in, the default measure is there as well.
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

/** A sweep that tries values of one of them compares rows. */
function choosesByWrittenScores(given: Given): boolean {
  const over = given['sweep.over'];
  return Object.entries(CHOICE).some(([path, says]) => says(given[path], given) || (isRecord(over) && Object.hasOwn(over, path)));
}
