/** A model in an engine that reads prompts once and then continues them token by token, several at a time. */

import { untouched } from '../adapter/apply-adapter.ts';
import type { Engine, Session } from '../engine/engine.ts';
import type { HostArray } from '../graph/types.ts';
import { float32Of } from '../graph/types.ts';
import type { Attachment } from '../method/method.ts';
import { type KnownTokens, readTokens, unknownToken } from '../model/known-tokens.ts';
import type { CausalModel } from '../model/model-spec.ts';
import type { WeightSource } from '../model/weight-source.ts';
import { elementAt, lastOf, required } from '../narrow.ts';
import { loadVariables, storedWeights } from '../train/variables.ts';
import { gridFeeds, type PromptImages, stretchEnd, stretchFeeds } from '../vision/prompt-images.ts';
import { contextBucket, decodeProgram, decodeSignature, decodeWidths, emptyCache, PREFILL, stretchTokens } from './decode-program.ts';

/** A model with the factors next to its weights: from `adaptedModel`; a base has weights only. */
export interface InferenceModel {
  readonly model: CausalModel;
  readonly weights: WeightSource;
  readonly attachment?: Attachment;
  readonly start?: ReadonlyMap<string, HostArray>;
}

export interface OpenDecoderParams extends InferenceModel {
  readonly engine: Engine;
  /** Minimum capacity in tokens, for prompt and answer together. */
  readonly tokens: number;
  /** Number of texts to read at the same time, 1 by default. */
  readonly texts?: number;
  /** True if prompts may have images; only for models that read them. */
  readonly images?: boolean | undefined;
  readonly onLoad?: (done: number, total: number) => void;
}

/** A prompt or an answer that does not fit, or a model whose outputs are not finite. */
export class GenerateError extends Error {
  override name = 'GenerateError';
}

/** @throws GenerateError for a token that the model does not read */
export function checkKnown(ids: Iterable<number>, known: KnownTokens): void {
  const unknown = unknownToken(ids, known);
  if (unknown) throw new GenerateError(`${unknown.problem}. ${unknown.advice}`);
}

/** Compiles the program and loads the weights. The caller disposes of the decoder. */
export async function openDecoder(params: OpenDecoderParams): Promise<Decoder> {
  const { engine, model, weights, attachment = untouched, start, images, onLoad } = params;
  const tokens = contextBucket(params.tokens, model.maxPositions);
  const { texts: slots = 1 } = params;
  const session = await engine.compile({
    ...decodeProgram({ model, linearHook: attachment.linearHook, storage: attachment.storage, tokens, slots, images }),
    places: attachment.hosted,
  });
  try {
    await loadVariables(session, {
      model: storedWeights(model, weights, attachment, onLoad),
      attachment,
      start,
    });
    await session.load(emptyCache(model, tokens, slots));
    return new Decoder(session, { tokens, slots, model, images });
  } catch (error) {
    await session.dispose();
    throw error;
  }
}

/** The place of a text in the cache. */
interface Slot {
  /** The token ids of the text. */
  ids: number[];
  /** The images of its prompt. */
  images: PromptImages | undefined;
  /** Number of tokens at the start that are in the cache. */
  length: number;
  /**
   * Number of tokens at the start that were read in whole stretches. A prompt that begins with the same tokens need not read them again:
   * the result is bit-identical.
   */
  whole: number;
}

export interface DecoderParams {
  readonly tokens: number;
  readonly slots: number;
  readonly model: KnownTokens & Pick<CausalModel, 'hiddenSize' | 'ropeRescaling' | 'states' | 'vision'>;
  /** True if the program takes images. */
  readonly images?: boolean | undefined;
}

export class Decoder {
  /** Capacity of each slot, in tokens. */
  readonly capacity: number;
  private readonly session: Session;
  private readonly model: DecoderParams['model'];
  private readonly ropeRescaling: CausalModel['ropeRescaling'];
  private readonly hasStates: boolean;
  private readonly takesImages: boolean;
  /** Number of tokens of a stretch of a prompt. */
  private readonly stretch: number;
  private readonly allSlots: readonly Slot[];

  constructor(session: Session, { tokens, slots, model, images = false }: DecoderParams) {
    this.capacity = tokens;
    this.session = session;
    this.model = model;
    this.ropeRescaling = model.ropeRescaling;
    this.hasStates = model.states !== undefined;
    this.takesImages = images;
    this.stretch = stretchTokens({ model, images });
    this.allSlots = Array.from({ length: slots }, () => ({ ids: [], images: undefined, length: 0, whole: 0 }));
  }

  /** Number of texts that can be read at the same time. */
  get slots(): number {
    return this.allSlots.length;
  }

  /** Number of tokens of this prompt that a slot already holds, in whole stretches. The last token is always read, for its logits. */
  keptOf(slot: number, ids: readonly number[], images?: PromptImages): number {
    if (this.ropeRescaling) return 0;
    const { ids: known, images: seen, length, whole } = elementAt(this.allSlots, slot);
    const beforeImages =
      seen?.key === images?.key ? Number.POSITIVE_INFINITY : Math.min(seen?.first ?? Infinity, images?.first ?? Infinity);
    const most = Math.min(whole, ids.length - 1, beforeImages);
    let same = 0;
    while (same < most && known[same] === ids[same]) same++;
    // A state covers all tokens that were read, and cannot return to an earlier token.
    if (this.hasStates) return same === length ? same : 0;
    return Math.floor(same / this.stretch) * this.stretch;
  }

  /** Reads a whole prompt in place of a slot's text. @returns the logits [vocabulary] after it @throws GenerateError as `begin` does */
  read(ids: readonly number[], slot = 0, images?: PromptImages): Promise<Float32Array> {
    this.begin(slot, ids, images);
    return this.readRest(slot);
  }

  /** Reads one more token of a slot's text. @returns the logits [vocabulary] after it @throws GenerateError as `push` does */
  next(id: number, slot = 0): Promise<Float32Array> {
    this.push(slot, id);
    return this.readRest(slot);
  }

  /** Starts another text in a slot, without reading it yet. @throws GenerateError if the text is empty or too long, or has a token that is not read */
  begin(slot: number, ids: readonly number[], images?: PromptImages): void {
    if (ids.length === 0) throw new GenerateError('the prompt has no tokens');
    this.checkRoom(ids.length);
    checkKnown(ids, this.model);
    const kept = this.keptOf(slot, ids, images);
    Object.assign(elementAt(this.allSlots, slot), { ids: [...ids], images, length: kept, whole: kept });
  }

  /**
   * Appends a token to the text of a slot. If the longer text needs other rotary frequencies, its earlier tokens are read again.
   * @throws GenerateError if the slot is full
   */
  push(slot: number, id: number): void {
    const own = elementAt(this.allSlots, slot);
    this.checkRoom(own.ids.length + 1);
    own.ids.push(id);
    if (this.ropeRescaling?.isReread && own.length === this.ropeRescaling.length) own.length = 0;
  }

  /** Number of tokens of a slot's text that are not read yet: `readStretch` reads several, `step` reads one. */
  unread(slot: number): number {
    const { ids, length } = elementAt(this.allSlots, slot);
    return ids.length - length;
  }

  /** Reads the next tokens of a text. @returns the logits [tokens that are read] after the text, once all of it is read */
  async readStretch(slot: number): Promise<Float32Array | undefined> {
    const own = elementAt(this.allSlots, slot);
    const begin = own.length;
    const stretch = own.ids.slice(begin, stretchEnd(own.images, { begin, length: this.stretch }));
    const count = stretch.length;
    const ids = new Int32Array(this.stretch);
    ids.set(stretch);
    const positions = Int32Array.from(ids, (_, i) => begin + i);
    // Padding beyond the cache repeats the last token, which writes the same keys and values once more.
    for (let i = count; i < ids.length; i++) if (begin + i >= this.capacity) [ids[i], positions[i]] = [lastOf(stretch), begin + count - 1];
    const { logits } = await this.session.run(PREFILL, {
      ids,
      positions,
      last: Int32Array.of(count - 1),
      ...(this.slots > 1 && { slot: Int32Array.of(slot) }),
      ...(this.takesImages && stretchFeeds(this.model, own.images, { begin, count, length: this.stretch })),
      ...this.lengthsOf([own]),
    });
    if (own.whole === begin && count === this.stretch) own.whole += count;
    own.length += count;
    return this.unread(slot) === 0 ? this.ofRead(float32Of(required(logits, 'the logits'))) : undefined;
  }

  /** Reads the last token of the text in each of these slots. @returns the logits [tokens that are read] after each text, in the same order */
  async step(slots: readonly number[]): Promise<Float32Array[]> {
    const width = required(
      decodeWidths(this.slots).find(each => each > Math.max(...slots)),
      'a signature for these slots',
    );
    const ids = new Int32Array(width);
    // A slot that does not continue is written after its text: the next token overwrites that entry, and a text that fills its slot is
    // never kept to its end.
    const positions = Int32Array.from(ids, (_, slot) => Math.min(elementAt(this.allSlots, slot).length, this.capacity - 1));
    for (const slot of slots) ids[slot] = lastOf(elementAt(this.allSlots, slot).ids);
    const { logits } = await this.session.run(decodeSignature(width), {
      ids,
      positions,
      ...(this.hasStates && { continues: Int32Array.from(ids, (_, slot) => Number(slots.includes(slot))) }),
      ...this.gridOf(this.allSlots.slice(0, width), positions),
      ...this.lengthsOf(this.allSlots.slice(0, width)),
    });
    const all = float32Of(required(logits, 'the logits'));
    const vocabulary = all.length / width;
    return slots.map(slot => {
      elementAt(this.allSlots, slot).length++;
      return this.ofRead(all.subarray(slot * vocabulary, (slot + 1) * vocabulary));
    });
  }

  dispose(): Promise<void> {
    return this.session.dispose();
  }

  private async readRest(slot: number): Promise<Float32Array> {
    let logits: Float32Array | undefined;
    while (this.unread(slot) > 1) logits = await this.readStretch(slot);
    return this.unread(slot) === 1 ? elementAt(await this.step([slot]), 0) : required(logits, 'the logits');
  }

  /** The logits of the tokens that the model reads: an answer has no others. */
  private ofRead(logits: Float32Array): Float32Array {
    return logits.subarray(0, readTokens(this.model));
  }

  private checkRoom(tokens: number): void {
    if (tokens > this.capacity) throw new GenerateError(`there is room for ${this.capacity} tokens; this would be token ${tokens}`);
  }

  /** The `imageGrid` feed of the next token of each slot. */
  private gridOf(slots: readonly Slot[], positions: Int32Array): Record<string, HostArray> {
    if (!this.takesImages || !this.model.vision) return {};
    return gridFeeds(
      this.model.vision,
      slots.map(({ images }) => images),
      [...positions],
      1,
    );
  }

  /** The `length` feed of a model whose rotary frequencies depend on the text length. */
  private lengthsOf(slots: readonly Slot[]): { readonly length?: Int32Array } {
    return this.ropeRescaling ? { length: Int32Array.from(slots, ({ ids }) => ids.length) } : {};
  }
}
