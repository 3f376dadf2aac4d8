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

/** Rows have a measure, scores, companions and a second choice; the default columns have none of these. */
function choosesByWrittenScores(given: Given): boolean {
  return (
    sweepsChoice(given) ||
    namesMeasure(given) ||
    given['importance.scores'] !== undefined ||
    given['importance.choose_again_after'] !== undefined ||
    (given['importance.selection'] ?? 'per_layer') !== 'per_layer' ||
    given['importance.heads'] === true ||
    given.dependencies === true
  );
}

/** Settings of a choice by scores: where a sweep tries values of one, it compares rows. */
const OF_SCORES = [
  'importance.measure',
  'importance.scores',
  'importance.samples',
  'importance.exact',
  'importance.choose_again_after',
  'importance.selection',
  'importance.heads',
  'dependencies',
];

const sweepsChoice = ({ 'sweep.over': over }: Given): boolean => isRecord(over) && OF_SCORES.some(path => Object.hasOwn(over, path));

/** Random rows are rows too, so that measures can be compared; but where all settings are filled in, the default measure is there as well. */
const namesMeasure = ({ trains, 'importance.measure': measure }: Given): boolean =>
  measure !== undefined && !(trains === 'columns' && measure === measureWithoutScores);
