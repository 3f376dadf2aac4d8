/** The multiple-choice benchmarks (`benchmarks` in a recipe), named as in lm-evaluation-harness. */
import { namesOf } from './entries.ts';

const entries = {
  arc_challenge: 'AI2 reasoning challenge, challenge set.',
  arc_easy: 'AI2 reasoning challenge, easy set.',
  boolq: 'Yes or no questions about a passage.',
  hellaswag: 'Continuations of everyday scenes.',
  openbookqa: 'Elementary science questions.',
  rte: 'Textual entailment.',
  winogrande: 'Pronoun resolution.',
  multiple_choice: 'Custom questions: keys question, choices (a list) and answer (a number from 0, or the text).',
} as const;

export type BenchmarkName = keyof typeof entries;

/** A summary of each benchmark. */
export const benchmarkCatalog: Readonly<Record<BenchmarkName, string>> = entries;

export const benchmarkNames = namesOf(entries);
