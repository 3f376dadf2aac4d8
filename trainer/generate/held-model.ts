/**
 * A language model that stays loaded: weights and cache in the engine, for several answers at the same time. The cache grows when needed.
 */
import { adaptedModel } from '../adapter/apply-adapter.ts';
import { withAdapter } from '../adapter/read-adapter.ts';
import type { Engine } from '../engine/engine.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import type { CausalModel } from '../model/model-spec.ts';
import type { Precision, WeightStorage } from '../model/weight-storage.ts';
import type { AnswerTokenizer } from './answer-text.ts';
import { BatchedAnswers } from './batched-answers.ts';
import { contextBucket, type InferenceBytes, inferenceBytes } from './decode-program.ts';
import { type Decoder, openDecoder } from './decoder.ts';

export interface HeldModelParams {
  readonly engine: Engine;
  readonly model: CausalModel;
  readonly tokenizer: AnswerTokenizer;
  /** Opens the folder of the weights for a function: they are read again when the cache has to grow. */
  readonly withFolder: <T>(use: (folder: ModelFolder) => Promise<T>) => Promise<T>;
  /** A run, a checkpoint or an exported adapter (ours or PEFT's) to apply to the base. */
  readonly adapterPath?: string | undefined;
  /** How the base is stored; all float32 if left out. */
  readonly precision?: Precision | undefined;
  /** Number of answers to write at the same time, if the model supports it. */
  readonly parallel: number;
  /** True if prompts may have images; only for models that read them. */
  readonly images?: boolean | undefined;
  readonly onLoad?: ((done: number, total: number) => void) | undefined;
}

interface Loaded {
  readonly decoder: Decoder;
  readonly answers: BatchedAnswers;
  /** How the weights are stored; float32 if undefined. */
  readonly storage: WeightStorage | undefined;
}

export class HeldModel {
  private readonly params: HeldModelParams;
  private loaded: Loaded | undefined;
  /** Resolves when the last request has started; a request that needs more room waits until the others are answered. */
  private begun: Promise<unknown> = Promise.resolve();

  /** Stores the parameters; nothing is loaded yet. */
  constructor(params: HeldModelParams) {
    this.params = params;
  }

  /** Memory use in bytes, and the number and length of answers that fit. */
  get memory(): InferenceBytes & { readonly tokens: number; readonly parallel: number } {
    const { capacity: tokens = 0, slots: parallel = 1 } = this.loaded?.decoder ?? {};
    const { model, engine } = this.params;
    const { storage } = this.loaded ?? {};
    return { ...inferenceBytes(model, { tokens, slots: parallel, hostFrom: engine.hostFrom, storage }), tokens, parallel };
  }

  /**
   * Starts `work` once there is room for this many tokens per answer. Calls run at the same time, unless one needs more room than there is.
   * @param folder of the weights, if it is already open; otherwise it is opened when they must be loaded
   * @throws AdapterError if the adapter does not fit
   */
  async run<T>(tokens: number, work: (answers: BatchedAnswers) => Promise<T>, folder?: ModelFolder): Promise<T> {
    const begun = this.begun.then(async () => {
      const answers = await this.withRoom(tokens, folder);
      return { result: work(answers) };
    });
    this.begun = begun.catch(() => undefined);
    return (await begun).result;
  }

  /**
   * Loads the weights from an open folder, with room for this many tokens; only if nothing is loaded. @throws AdapterError if the adapter
   * does not fit
   */
  async load({ weights }: ModelFolder, tokens: number): Promise<BatchedAnswers> {
    const { engine, model, tokenizer, adapterPath, precision, parallel, images, onLoad } = this.params;
    return withAdapter(adapterPath, async adapter => {
      const tuned = await adaptedModel({ model, weights, adapter, hostFrom: engine.hostFrom, precision });
      const decoder = await openDecoder({ engine, model, ...tuned, tokens, texts: parallel, images, ...(onLoad && { onLoad }) });
      this.loaded = { decoder, answers: new BatchedAnswers(decoder, tokenizer), storage: tuned.attachment.storage };
      return this.loaded.answers;
    });
  }

  /** Releases the model; only if no work is running. */
  async dispose(): Promise<void> {
    await this.loaded?.decoder.dispose();
    this.loaded = undefined;
  }

  /** Makes room: a longer cache replaces a shorter one, and the weights are loaded again. */
  private async withRoom(tokens: number, open: ModelFolder | undefined): Promise<BatchedAnswers> {
    const { model, withFolder } = this.params;
    if (this.loaded && this.loaded.decoder.capacity >= contextBucket(tokens, model.maxPositions)) return this.loaded.answers;
    await this.loaded?.answers.idle();
    await this.dispose();
    return open ? this.load(open, tokens) : withFolder(folder => this.load(folder, tokens));
  }
}
