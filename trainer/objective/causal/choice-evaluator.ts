/** Answers multiple-choice questions by the log-likelihood of each choice, as lm-evaluation-harness scores them. */

import { createBatchPlan } from '../../data/batch/batch-plan.ts';
import { BUCKETS, freeOrder } from '../../data/batch/batch-settings.ts';
import { type BatchSource, type TokenBatch, tokenSource } from '../../data/batch/batches.ts';
import type { ChoiceQuestion } from '../../data/choice-tasks.ts';
import type { TextTokenizer, TokenSequence } from '../../data/types.ts';
import type { HostArray } from '../../graph/types.ts';

export interface ChoiceResult {
  /** Share of questions whose own answer is the likeliest. */
  readonly accuracy: number;
  /** The same with log-likelihoods divided by the characters of the choice. */
  readonly accuracyNorm: number;
  /** √(p·(1 − p) / (n − 1)), of `accuracy`. */
  readonly standardError: number;
  readonly questions: number;
}

export interface ChoiceParams {
  readonly questions: readonly ChoiceQuestion[];
  readonly tokenizer: TextTokenizer;
  readonly batchSize: number;
  /** Positions of the model: longer contexts lose their beginning. */
  readonly maxPositions: number;
  readonly padId: number;
}

export interface ChoiceSet {
  readonly source: BatchSource<TokenBatch>;
  readonly questions: number;
  readonly startTally: () => ChoiceTally;
}

/** The answers of one model. */
export interface ChoiceTally {
  /** Adds a batch's NLL of each target. */
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
 * The harness's `_encode_pair`: spaces at the end of the context go to the continuation, whose tokens are what the whole has beyond the context.
 * What is too long is cut to the model's positions, the last token among them; the harness, which feeds that one to no model, keeps one more.
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
