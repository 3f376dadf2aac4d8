/** A language model that is held ready: weights and cache in the engine, for several answers at the same time. The cache grows as it must. */
import { adaptedModel } from '../adapter/apply-adapter.ts';
import { readAdapter } from '../adapter/read-adapter.ts';
import type { Engine } from '../engine/engine.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import type { CausalModel } from '../model/model-spec.ts';
import type { AnswerTokenizer } from './answer-text.ts';
import { BatchedAnswers } from './batched-answers.ts';
import { contextBucket, type InferenceBytes, inferenceBytes } from './decode-program.ts';
import { type Decoder, openDecoder } from './decoder.ts';

export interface HeldModelParams {
  readonly engine: Engine;
  readonly model: CausalModel;
  readonly tokenizer: AnswerTokenizer;
  /** Lends the folder of the weights, which is read again when the cache has to grow. */
  readonly withFolder: <T>(use: (folder: ModelFolder) => Promise<T>) => Promise<T>;
  /** A run, a checkpoint or an exported adapter of ours or of PEFT, on top of it. */
  readonly adapterPath?: string | undefined;
  /** Answers that are written at the same time, as far as the model can. */
  readonly parallel: number;
  readonly onLoad?: ((done: number, total: number) => void) | undefined;
}

export class HeldModel {
  readonly #params: HeldModelParams;
  #loaded: { readonly decoder: Decoder; readonly answers: BatchedAnswers } | undefined;
  /** Resolves when the last request has begun; one that needs more room waits until the others are answered. */
  #begun: Promise<unknown> = Promise.resolve();

  /** Nothing is loaded yet. */
  constructor(params: HeldModelParams) {
    this.#params = params;
  }

  /** Bytes of what is held, and the answers that it has room for. */
  get memory(): InferenceBytes & { readonly tokens: number; readonly parallel: number } {
    const { capacity: tokens = 0, slots: parallel = 1 } = this.#loaded?.decoder ?? {};
    const { model, engine } = this.#params;
    return { ...inferenceBytes(model, { tokens, slots: parallel, hostFrom: engine.hostFrom }), tokens, parallel };
  }

  /**
   * Starts `work` when each answer has room for so many tokens. Works run at the same time, unless one needs more room than there is.
   * @param folder that of the weights, where it is open; otherwise it is borrowed if they have to be loaded
   * @throws AdapterError where the adapter does not fit
   */
  async run<T>(tokens: number, work: (answers: BatchedAnswers) => Promise<T>, folder?: ModelFolder): Promise<T> {
    const begun = this.#begun.then(async () => {
      const answers = await this.#withRoom(tokens, folder);
      return { result: work(answers) };
    });
    this.#begun = begun.catch(() => undefined);
    return (await begun).result;
  }

  /** Loads the weights from an open folder, with room for so many tokens; called when nothing is loaded. @throws AdapterError where the adapter does not fit */
  async load({ weights }: ModelFolder, tokens: number): Promise<BatchedAnswers> {
    const { engine, model, tokenizer, adapterPath, parallel, onLoad } = this.#params;
    const adapter = adapterPath === undefined ? undefined : await readAdapter(adapterPath);
    try {
      const tuned = await adaptedModel({ model, weights, adapter, hostFrom: engine.hostFrom });
      const decoder = await openDecoder({ engine, model, ...tuned, tokens, texts: parallel, ...(onLoad && { onLoad }) });
      this.#loaded = { decoder, answers: new BatchedAnswers(decoder, tokenizer) };
      return this.#loaded.answers;
    } finally {
      await adapter?.close();
    }
  }

  /** Called when no work is running. */
  async dispose(): Promise<void> {
    await this.#loaded?.decoder.dispose();
    this.#loaded = undefined;
  }

  /** A longer cache replaces a shorter one, and the weights are loaded again. */
  async #withRoom(tokens: number, open: ModelFolder | undefined): Promise<BatchedAnswers> {
    const { model, withFolder } = this.#params;
    if (this.#loaded && this.#loaded.decoder.capacity >= contextBucket(tokens, model.maxPositions)) return this.#loaded.answers;
    await this.#loaded?.answers.idle();
    await this.dispose();
    return open ? this.load(open, tokens) : withFolder(folder => this.load(folder, tokens));
  }
}
