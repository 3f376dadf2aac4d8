/** Finds the columns of samples with texts to compare: an anchor with its positive and hard negatives, or two texts with a score. */
import { DataError, describeKeys } from '../data-error.ts';
import type { DataRecord } from '../types.ts';

/** Column names of two related texts in data sets of sentence-transformers and GLUE. */
const PAIR_COLUMNS: readonly (readonly [string, string])[] = [
  ['anchor', 'positive'],
  ['query', 'positive'],
  ['query', 'answer'],
  ['query', 'document'],
  ['query', 'passage'],
  ['question', 'answer'],
  ['sentence1', 'sentence2'],
  ['sentence_A', 'sentence_B'],
  ['question1', 'question2'],
  ['premise', 'hypothesis'],
  ['text1', 'text2'],
  ['text', 'text_pair'],
  ['#1 String', '#2 String'],
];
const SCORE_COLUMNS = ['score', 'similarity_score', 'similarity', 'relatedness_score', 'label', 'labels', 'is_duplicate', 'Quality'];

/** `negative`, `negative_1`, `negative_2` … */
const NEGATIVE = /^negative(?:_(\d+))?$/;

/** A column with a list of hard negatives. */
const NEGATIVES = 'negatives';

export interface GroupColumns {
  readonly anchor: string;
  readonly positive: string;
  /** Columns of hard negatives, in order; or only the column with lists of them. */
  readonly negatives: readonly string[];
  readonly score: string | undefined;
}

/** @throws DataError if a sample does not have two texts */
export function findGroupColumns({ value, file, line }: DataRecord): GroupColumns {
  const has = (key: string): boolean => Object.hasOwn(value, key);
  const pair = PAIR_COLUMNS.find(names => names.every(has));
  if (!pair)
    throw new DataError({
      file,
      line,
      problem: `the keys ${describeKeys(value)} name no two texts, expected anchor and positive, or sentence1 and sentence2`,
      advice: 'Name them in the recipe: data: columns: {anchor: …, positive: …}',
    });
  const [anchor, positive] = pair;
  const numbered = Object.keys(value).flatMap(key => {
    const found = NEGATIVE.exec(key);
    return found ? [{ key, number: Number(found[1] ?? 0) }] : [];
  });
  const negatives = has(NEGATIVES) ? [NEGATIVES] : numbered.sort((a, b) => a.number - b.number).map(({ key }) => key);
  return { anchor, positive, negatives, score: SCORE_COLUMNS.find(has) };
}
