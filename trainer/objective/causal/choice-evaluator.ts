/** Answers multiple-choice questions by the log-likelihood of each choice, scored as in lm-evaluation-harness. */

import { createBatchPlan } from '../../data/batch/batch-plan.ts';
import { BUCKETS, freeOrder } from '../../data/batch/batch-settings.ts';
import { type BatchSource, type TokenBatch, tokenSource } from '../../data/batch/batches.ts';
import type { ChoiceQuestion } from '../../data/choice-tasks.ts';
import type { TextTokenizer, TokenSequence } from '../../data/types.ts';
import type { HostArray } from '../../graph/types.ts';

export interface ChoiceResult {
  /** Share of questions whose correct answer is the most likely. */
  readonly accuracy: number;
  /** The same with log-likelihoods divided by the number of characters of the choice. */
  readonly accuracyNorm: number;
  /** √(p·(1 − p) / (n − 1)), of `accuracy`. */
  readonly standardError: number;
  readonly questions: number;
}

export interface ChoiceParams {
  readonly questions: readonly ChoiceQuestion[];
  readonly tokenizer: TextTokenizer;
  readonly batchSize: number;
  /** Number of positions of the model: longer contexts are cut at their beginning. */
  readonly maxPositions: number;
  readonly padId: number;
}

export interface ChoiceSet {
  readonly source: BatchSource<TokenBatch>;
  readonly questions: number;
  readonly startTally: () => ChoiceTally;
}

/** Collects the answers of one model. */
export interface ChoiceTally {
  /** Adds the NLL of each target of a batch. */
  add(batch: Pick<TokenBatch, 'targetCount' | 'targetSamples'>, nll: HostArray | undefined): void;
  /** Log-probabilities of every choice of every question, in order. */
  readonly likelihoods: Float64Array;
  result(): ChoiceResult;
}

export function choiceSet({ questions, tokenizer, batchSize, maxPositions, padId }: ChoiceParams): ChoiceSet {
  const choices = questions.flatMap(({ choices: all }, at) => all.map(choice => ({ ...choice, question: at })));
  const sequences = choices.map(({ context, continuation }) => encodeChoice(tokenizer, { context, continuation, maxPositions }));
  const longest = sequences.reduce((most, { ids }) => Math.max(most, ids.length), 1);
  const plan = createBatchPlan(sequences, { batchSize, maxLength: longest, packing: false, ...freeOrder(0), ...BUCKETS });
  return {
    source: tokenSource({ plan, sequences, padId, packed: false }),
    questions: questions.length,
    startTally() {
      const likelihoods = new Float64Array(choices.length);
      return {
        add({ targetCount, targetSamples }, nll) {
          for (let i = 0; i < targetCount; i++) {
            const choice = targetSamples[i] ?? -1;
            likelihoods[choice] = (likelihoods[choice] ?? 0) - (nll?.[i] ?? Number.NaN);
          }
        },
        likelihoods,
        result: () => judge(questions, likelihoods),
      };
    },
  };
}

function judge(questions: readonly ChoiceQuestion[], likelihoods: Float64Array): ChoiceResult {
  let [at, hits, hitsNorm] = [0, 0, 0];
  for (const { choices, answer } of questions) {
    const own = likelihoods.subarray(at, at + choices.length);
    const normal = own.map((value, i) => value / (choices[i]?.text.length ?? 1));
    hits += Number(own.indexOf(Math.max(...own)) === answer);
    hitsNorm += Number(normal.indexOf(Math.max(...normal)) === answer);
    at += choices.length;
  }
  const count = questions.length;
  const accuracy = hits / count;
  return {
    accuracy,
    accuracyNorm: hitsNorm / count,
    standardError: Math.sqrt((accuracy * (1 - accuracy)) / Math.max(1, count - 1)),
    questions: count,
  };
}

/**
 * Encodes a choice like the harness's `_encode_pair`: trailing spaces of the context move to the continuation, whose tokens are those of
 * the whole beyond the context. Long texts are cut to the model's positions, which include the last token; the harness never feeds that
 * token to the model, so it keeps one more.
 */
function encodeChoice(
  tokenizer: Pick<TextTokenizer, 'encode'>,
  { context, continuation, maxPositions }: { readonly context: string; readonly continuation: string; readonly maxPositions: number },
): TokenSequence {
  const trimmed = context.trimEnd();
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: true });
  const whole = encode(trimmed + context.slice(trimmed.length) + continuation);
  const begin = encode(trimmed).length;
  const ids = Int32Array.from(whole.slice(-maxPositions));
  const train = new Uint8Array(ids.length).fill(1, Math.max(1, begin - (whole.length - ids.length)));
  return { ids, train };
}
