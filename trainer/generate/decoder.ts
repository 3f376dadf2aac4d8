/** A model in an engine that reads a prompt once and then continues token by token. */

import { untouched } from '../artifact/adapter/apply-adapter.ts';
import type { Engine, Session } from '../engine/engine.ts';
import type { HostArray } from '../graph/types.ts';
import { float32Of } from '../graph/types.ts';
import type { Attachment } from '../method/method.ts';
import type { CausalModel } from '../model/model-spec.ts';
import type { WeightSource } from '../model/weight-source.ts';
import { weightStream } from '../model/weight-stream.ts';
import { required } from '../narrow.ts';
import { loadVariables } from '../train/variables.ts';
import { contextBucket, DECODE, decodeProgram, emptyCache, PREFILL, PREFILL_TOKENS } from './decode-program.ts';

/** A model with the factors next to its weights: `adaptedModel` gives one; a base has weights alone. */
export interface InferenceModel {
  readonly model: CausalModel;
  readonly weights: WeightSource;
  readonly attachment?: Attachment;
  readonly start?: ReadonlyMap<string, HostArray>;
}

export interface OpenDecoderParams extends InferenceModel {
  readonly engine: Engine;
  /** Tokens, of prompt and answer together, that must have room. */
  readonly tokens: number;
  readonly onLoad?: (done: number, total: number) => void;
}

/** A prompt or an answer that does not fit, or a model whose numbers are not finite. */
export class GenerateError extends Error {
  override name = 'GenerateError';
}

/** Compiles and loads. The caller disposes it. */
export async function openDecoder(params: OpenDecoderParams): Promise<Decoder> {
  const { engine, model, weights, attachment = untouched, start, onLoad } = params;
  const tokens = contextBucket(params.tokens, model.maxPositions);
  const session = await engine.compile(decodeProgram({ model, linearHook: attachment.linearHook, tokens }));
  try {
    await loadVariables(session, { model: weightStream(model, weights, { onTensor: onLoad }), attachment, start });
    await session.load(emptyCache(model, tokens));
    return new Decoder(session, tokens, model.turning);
  } catch (error) {
    await session.dispose();
    throw error;
  }
}

export class Decoder {
  /** Tokens that the cache has room for. */
  readonly capacity: number;
  private readonly session: Session;
  private readonly turning: CausalModel['turning'];
  private length = 0;
  /** Tokens that were read and may have to be read again. */
  private seen: number[] = [];
  /** The tokens that whole stretches of the last prompt left in the cache. */
  private stretches: readonly number[] = [];

  constructor(session: Session, capacity: number, turning: CausalModel['turning']) {
    this.session = session;
    this.capacity = capacity;
    this.turning = turning;
  }

  /** Tokens read so far. */
  get position(): number {
    return this.length;
  }

  /**
   * Forgets what was read and reads a prompt. Whole stretches at its beginning that are those of the last prompt are still in the cache,
   * to the bit, and are not read again.
   * @param isCanceled asked between stretches; the logits are then of the part that was read
   * @returns logits [vocabulary] of the token after it
   * @throws GenerateError where it is empty or has no room
   */
  async read(ids: readonly number[], isCanceled: () => boolean = () => false): Promise<Float32Array> {
    if (ids.length === 0) throw new GenerateError('the prompt has no tokens');
    const kept = this.turning ? 0 : this.keptOf(ids);
    this.length = kept;
    this.seen = [];
    this.stretches = ids.slice(0, kept);
    let logits: Float32Array = new Float32Array();
    for (let begin = kept; begin < ids.length && !(begin > kept && isCanceled()); begin += PREFILL_TOKENS) {
      const stretch = ids.slice(begin, begin + PREFILL_TOKENS);
      logits = await this.advance(PREFILL, stretch, PREFILL_TOKENS, ids.length);
      if (stretch.length === PREFILL_TOKENS) this.stretches = ids.slice(0, begin + PREFILL_TOKENS);
    }
    return logits;
  }

  /** The tokens of whole stretches that need not be read; the last token is always read, for its logits. */
  private keptOf(ids: readonly number[]): number {
    const most = Math.min(this.stretches.length, ids.length - 1);
    let same = 0;
    while (same < most && this.stretches[same] === ids[same]) same++;
    return Math.floor(same / PREFILL_TOKENS) * PREFILL_TOKENS;
  }

  /**
   * Reads one more token; where it makes the text so long that earlier ones are turned otherwise, those again.
   * @returns logits [vocabulary] of the one after it
   */
  next(id: number): Promise<Float32Array> {
    if (this.turning?.isReread && this.length === this.turning.length) return this.read([...this.seen, id]);
    return this.advance(DECODE, [id], 1, this.length + 1);
  }

  dispose(): Promise<void> {
    return this.session.dispose();
  }

  /** @param whole tokens of the text so far, with those that follow in the same prompt */
  private async advance(signature: string, ids: readonly number[], width: number, whole: number): Promise<Float32Array> {
    if (this.length + ids.length > this.capacity)
      throw new GenerateError(`there is room for ${this.capacity} tokens; this would be token ${this.length + ids.length}`);
    const padded = new Int32Array(width);
    padded.set(ids);
    const { logits } = await this.session.run(signature, {
      ids: padded,
      positions: Int32Array.from({ length: width }, (_, i) => this.length + i),
      last: Int32Array.of(ids.length - 1),
      ...(this.turning && { length: Int32Array.of(whole) }),
    });
    if (this.turning?.isReread && this.length <= this.turning.length) this.seen.push(...ids);
    this.length += ids.length;
    return float32Of(required(logits, 'the logits'));
  }
}
