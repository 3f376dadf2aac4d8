/**
 * Checks that llama.cpp computes the same as our engine on the same file: token ids of texts, greedy tokens, and the largest logits after
 * each token.
 */

import { type Engine, EngineError } from '../../engine/engine.ts';
import type { Tokenizer } from '../../format/tokenizer/tokenizer.ts';
import { openDecoder } from '../../generate/decoder.ts';
import { openModel } from '../../hub/open-model.ts';
import { type LlamaCpp, LlamaCppError, openLlamaCpp, type TopLogits } from '../../llama-cpp/llama-cpp.ts';
import { hasLlamaCpp, INSTALL_LLAMA_CPP, llamaCppName } from '../../llama-cpp/llama-cpp-packages.ts';
import { type CausalModel, isCausal } from '../../model/model-spec.ts';
import { isExperts } from '../../model/module-specs.ts';
import { required } from '../../narrow.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import type { CrossCheck, ReopenedExport, TokenCheck } from '../artifact.ts';
import { ExportError } from '../export-error.ts';
import { sequenceLogits, smokeIds } from '../smoke-test.ts';

/** Number of tokens to generate greedily. */
const NEW_TOKENS = 16;
/** Number of logits to compare after each token. */
const COMPARED = 16;
/** Number of threads for llama.cpp: a short text takes a second on two. */
const THREADS = 2;

/** Texts with other scripts, spaces, numbers and symbols, for which tokenizers differ. */
const TEXTS = [
  'The river, in 1927 — naïve café 😀',
  // White space in the middle, because llama.cpp and Transformers differ in the treatment of space at the beginning for the tokenizers of
  // Llama 2.
  "two  spaces\n\n\ttab 7's; I'm we'll THEY'RE 12345",
  '日本語とрусский und Straße, x=3.14*(y-2)\r\n',
] as const;

/**
 * Tolerances as shares of the largest logit. llama.cpp rounds activations to the type with which it multiplies a weight: to 8 bits for
 * quantized weights, to half or bfloat16 for those types, and keys and values to half. Measured on SmolLM2: F32 0.1 %, F16 0.1 %, BF16 1 %,
 * Q8_0 2 %, Q4_1 2 %.
 */
const SHARES: Readonly<Record<string, number>> = { F32: 0.01, F16: 0.02, BF16: 0.05 };
const QUANTIZED_SHARE = 0.08;
/**
 * Factor of the tolerance for a model with a recurrent state if activations have fewer digits than F16: the state's prediction is
 * subtracted from each value, and a norm amplifies the remainder. Rounding the weights to bfloat16 changes the logits of tiny random
 * Qwen3.5 by 2 to 15% of their range in PyTorch, those of Qwen3 by less than 1% (six seeds). Values in a wrong order already show in F32
 * and F16, to which the factor does not apply.
 */
const WITH_STATE = 5;
/**
 * The share of tokens of a mixture whose logits may exceed the tolerance: if two experts are almost equally likely, rounded activations may
 * select the other. A state amplifies small differences, so this also happens with F32: to one of 80 tokens of a tiny random Qwen3.5 with
 * experts, whose other tokens differ by 0.1%. Rows or experts in a wrong place would change every token.
 */
const SHARE_OF_OTHER_EXPERTS = 0.25;

export interface LlamaCheckParams {
  readonly path: string;
  /** A GGUF file of factors to apply to the model. */
  readonly lora?: string;
  readonly exported: ReopenedExport;
  readonly engine: Engine;
  readonly cacheDir: string | undefined;
}

/** @throws ExportError with the first difference, or with llama.cpp's own message if it cannot load the file */
export async function compareWithLlamaCpp(params: LlamaCheckParams): Promise<CrossCheck | { readonly missing: string }> {
  const { cacheDir, path, lora, engine } = params;
  if (cacheDir === undefined || !hasLlamaCpp(cacheDir)) return { missing: `llama.cpp is not installed: run "${INSTALL_LLAMA_CPP}"` };
  const { model } = params.exported;
  if (!isCausal(model)) throw new ExportError(`llama.cpp cannot check a ${model.family} that classifies: export it as merged`);
  const exported = { ...params.exported, model };
  const file = await openModel(path);
  const tokenizer = await file.loadTokenizer().finally(() => file.weights.close());
  const ids = await greedyContinuation(engine, exported, smokeIds(exported.model, tokenizer));
  const ours = await sequenceLogits(engine, exported, ids);
  const llama = await open({ cacheDir, modelPath: path, tokens: ids.length, threads: THREADS, ...(lora !== undefined && { lora }) });
  try {
    compareIds(llama, tokenizer, exported.model);
    const theirs = await llama.topLogits([...ids], COMPARED);
    const types = [...exported.weights.tensors.values()].map(storedType);
    const rounded = Math.max(...types.map(dtype => SHARES[dtype] ?? QUANTIZED_SHARE));
    const hasState = model.states !== undefined && rounded > required(SHARES.F16, 'the share of F16');
    const share = hasState ? WITH_STATE * rounded : rounded;
    const isMixture = exported.model.modules.some(isExperts);
    const isRounded = share > required(SHARES.F32, 'the share of F32') || model.states !== undefined;
    const spared = isMixture && isRounded ? Math.floor(SHARE_OF_OTHER_EXPERTS * ids.length) : 0;
    return { program: llamaCppName.replace('-', ' '), tokens: ids.length, ...compareTop(theirs, ours, { ids, share, tokenizer, spared }) };
  } finally {
    await llama.close();
  }
}

const storedType = (info: object): string => ('dtype' in info && typeof info.dtype === 'string' ? info.dtype : 'F32');

async function open(params: Parameters<typeof openLlamaCpp>[0]): Promise<LlamaCpp> {
  try {
    return await openLlamaCpp(params);
  } catch (error) {
    if (error instanceof LlamaCppError) throw new ExportError(`${error.message}\nnothing was written: report this with the recipe`);
    throw new EngineError(
      `llama.cpp does not start here (${messageOf(error).split('\n')[0]}): run "rowtune engine remove ${llamaCppName}" to export without this check`,
    );
  }
}

/** The prompt and its greedy continuation. */
async function greedyContinuation(
  engine: Engine,
  { model, weights, attachment, start }: ReopenedExport & { readonly model: CausalModel },
  prompt: Int32Array,
): Promise<Int32Array> {
  const room = Math.min(prompt.length + NEW_TOKENS, model.maxPositions);
  const found = [...prompt.subarray(0, room)];
  const decoder = await openDecoder({ engine, model, weights, ...(attachment && { attachment }), ...(start && { start }), tokens: room });
  try {
    let logits = found.length < room ? await decoder.read(found) : undefined;
    while (logits !== undefined) {
      const next = best(logits);
      found.push(next);
      logits = found.length < room ? await decoder.next(next) : undefined;
    }
  } finally {
    await decoder.dispose();
  }
  return Int32Array.from(found);
}

function best(logits: ArrayLike<number>): number {
  let at = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[at] as number)) at = id;
  return at;
}

function compareIds(llama: LlamaCpp, tokenizer: Tokenizer, { vocabularySize }: CausalModel): void {
  for (const text of TEXTS) {
    const [ours, theirs] = [tokenizer.encode(text, { addSpecialTokens: false }), llama.tokenize(text)];
    const at = ours.findIndex((id, i) => id !== theirs[i]);
    if (ours.length === theirs.length && at < 0) continue;
    const [a, b] = [ours, theirs].map(ids =>
      tokenizer.decode(
        ids.slice(Math.max(0, at), at + 4).filter(id => id < vocabularySize),
        { skipSpecialTokens: false },
      ),
    );
    throw new ExportError(
      `llama.cpp splits ${JSON.stringify(text)} into other tokens: from token ${Math.max(0, at) + 1} on it has ${JSON.stringify(b)} where the base has ${JSON.stringify(a)}; nothing was written: report this with the name of the base`,
    );
  }
}

interface Comparison {
  readonly ids: Int32Array;
  /** The tolerance as a share of the largest logit. */
  readonly share: number;
  readonly tokenizer: Tokenizer;
  /** Number of tokens that may exceed the tolerance. */
  readonly spared: number;
}

/** @throws ExportError with the first token after which a logit differs by more than this share of the largest */
function compareTop(
  theirs: readonly TopLogits[],
  ours: Float32Array,
  { ids, share, tokenizer, spared }: Comparison,
): Pick<TokenCheck, 'sameTokens' | 'largestDifference' | 'tolerance' | 'otherExperts'> {
  const vocabulary = ours.length / ids.length;
  const scale = ours.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  const tolerance = share * scale;
  const show = (id: number): string => JSON.stringify(tokenizer.decode([id], { skipSpecialTokens: false }));
  let [largestDifference, sameTokens, otherExperts] = [0, 0, 0];
  for (const [i, top] of theirs.entries()) {
    const row = ours.subarray(i * vocabulary, (i + 1) * vocabulary);
    const own = best(row);
    const [first = own] = top.keys();
    if (first === own) sameTokens++;
    let most = top.has(own) ? 0 : Number.POSITIVE_INFINITY;
    for (const [id, logit] of top) most = Math.max(most, Math.abs(logit - (row[id] as number)));
    if (most <= tolerance) {
      largestDifference = Math.max(largestDifference, most);
      continue;
    }
    if (!Number.isNaN(most) && otherExperts < spared) {
      otherExperts++;
      continue;
    }
    throw new ExportError(
      `llama.cpp computes something else: after token ${i + 1} of ${ids.length}, ${show(ids[i] as number)}, its next token is ${show(first)} and ours is ${show(own)}, and a logit differs by ${most.toPrecision(3)}, more than ${tolerance.toPrecision(3)}; nothing was written: report this with the recipe`,
    );
  }
  return { sameTokens, largestDifference, tolerance, ...(otherExperts > 0 && { otherExperts }) };
}
