/** Checks that an export computes the same as the tuned model: runs the same prompt through both and compares every logit. */

import { untouched } from '../adapter/apply-adapter.ts';
import type { Engine } from '../engine/engine.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import { LOGITS, logitsProgram } from '../generate/decode-program.ts';
import type { InferenceModel } from '../generate/decoder.ts';
import { encodePrompt } from '../generate/prompt.ts';
import { Graph } from '../graph/graph.ts';
import { assemble, type Program } from '../graph/program.ts';
import type { HostArray } from '../graph/types.ts';
import { float32Of } from '../graph/types.ts';
import { declareClassifierBatch } from '../model/classifier-batch.ts';
import type { AnyModel, ClassifierModel } from '../model/model-spec.ts';
import { Tracer } from '../model/tracer.ts';
import { required } from '../narrow.ts';
import { loadVariables, storedWeights } from '../train/variables.ts';

/** The prompt: letters, digits and punctuation; a user turn if the model has a chat template. */
const SMOKE_PROMPT = 'Name three rivers, and say in one sentence where each of them begins: 1.';
/** Number of tokens for a model without a tokenizer. */
const SMOKE_TOKENS = 32;
/** Its multiples modulo 1 are spread evenly. */
const GOLDEN_RATIO = 0.618034;

/**
 * The prompt's ids. Without a tokenizer, or with one of another vocabulary, ids spread over the model's own; none for a model of images.
 * @param model its positions bound the length
 */
export function smokeIds(model: AnyModel, tokenizer: Tokenizer | undefined): Int32Array {
  const text = model.kind === 'causal' ? model : model.input;
  if ('kind' in text && text.kind === 'image') return new Int32Array();
  const { vocabularySize, maxPositions } = text;
  const prompt = tokenizer ? encodePrompt(tokenizer, SMOKE_PROMPT, model.kind === 'causal').ids : [];
  const isUsable = prompt.length > 0 && prompt.every(id => id < vocabularySize);
  const ids = isUsable ? prompt : Array.from({ length: SMOKE_TOKENS }, (_, i) => Math.floor(((i * GOLDEN_RATIO) % 1) * vocabularySize));
  return Int32Array.from(ids.slice(0, maxPositions));
}

/** Logits [tokens · vocabulary] of one sequence, computed by a temporary program. */
export const sequenceLogits = (engine: Engine, { model, ...tuned }: InferenceModel, ids: Int32Array): Promise<Float32Array> =>
  logitsOf(engine, { model, ...tuned }, logitsProgram({ model, linearHook: tuned.attachment?.linearHook, tokens: ids.length }), { ids });

export interface TunedModel extends Omit<InferenceModel, 'model'> {
  readonly model: AnyModel;
}

/** Logits of the smoke input: for every token of a language model, [labels] for a classifier. */
export function smokeLogits(engine: Engine, { model, ...tuned }: TunedModel, ids: Int32Array): Promise<Float32Array> {
  if (model.kind === 'causal') return sequenceLogits(engine, { model, ...tuned }, ids);
  const graph = new Graph();
  const shape = { batch: 1, tokens: ids.length };
  const tracer = new Tracer({ graph, linearHook: tuned.attachment?.linearHook });
  const logits = model.logits(tracer, declareClassifierBatch(graph, model.input, shape));
  const program = assemble({ [LOGITS]: { graph, outputs: { logits }, effects: [] } });
  return logitsOf(engine, { model, ...tuned }, program, classifierFeeds(model, ids));
}

function classifierFeeds({ input }: ClassifierModel, ids: Int32Array): Record<string, HostArray> {
  if (input.kind === 'image') {
    const count = input.height * input.width * input.channels;
    return { pixels: Float32Array.from({ length: count }, (_, i) => 4 * ((i * GOLDEN_RATIO) % 1) - 2) };
  }
  const common = { ids, seen: new Float32Array(ids.length).fill(1) };
  return input.tokenTypes > 1 ? { ...common, types: new Int32Array(ids.length) } : common;
}

async function logitsOf(
  engine: Engine,
  { model, weights, attachment = untouched, start }: TunedModel,
  program: Program,
  feeds: Record<string, HostArray>,
): Promise<Float32Array> {
  const session = await engine.compile(program);
  try {
    await loadVariables(session, {
      model: storedWeights(model, weights, attachment),
      attachment,
      start,
    });
    return float32Of(required((await session.run(LOGITS, feeds)).logits, 'the logits'));
  } finally {
    await session.dispose();
  }
}

export interface Difference {
  /** Largest absolute difference of any logit. */
  readonly largest: number;
  /** The largest allowed difference. */
  readonly tolerance: number;
}

/**
 * Largest effect of another order of summation in float32 on any logit, as a share of the largest logit. Rounded weights are compared with
 * weights that were rounded the same way: bfloat16 alone moves a logit of SmolLM2-135M by 4 to 12 %, and undoing its LoRA by 19 %.
 */
const SHARE = 5e-5;

/** Compares logits of the same weights. @param share the tolerance, as a share of the largest logit */
export function compareLogits(found: Float32Array, expected: Float32Array, share = SHARE): Difference {
  let [largest, scale] = [found.length === expected.length ? 0 : Number.POSITIVE_INFINITY, 1];
  expected.forEach((value, i) => {
    const difference = Math.abs((found[i] as number) - value);
    largest = Number.isFinite(difference) ? Math.max(largest, difference) : Number.POSITIVE_INFINITY;
    scale = Math.max(scale, Math.abs(value));
  });
  return { largest, tolerance: share * scale };
}
