/** A model that is held ready: weights and cache in the engine, for several answers at the same time. */
import { adaptedModel } from '../artifact/adapter/apply-adapter.ts';
import { readAdapter } from '../artifact/adapter/read-adapter.ts';
import { chatRendererOf } from '../data/chat-renderer.ts';
import { createEncoder } from '../data/encoder.ts';
import type { ChatMessage, ChatRenderer } from '../data/types.ts';
import type { Engine } from '../engine/engine.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import { BatchedAnswers } from '../generate/batched-answers.ts';
import { callForm } from '../generate/conversation.ts';
import { contextBucket, type InferenceBytes, inferenceBytes } from '../generate/decode-program.ts';
import { type Decoder, openDecoder } from '../generate/decoder.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import { causalModel } from '../model/load-model.ts';
import type { CausalModel } from '../model/model-spec.ts';
import { type CompleteParams, type Completion, complete } from './complete.ts';
import { RequestError } from './request-error.ts';

export interface ServedModelParams {
  readonly name: string;
  readonly engine: Engine;
  /** Opened anew when the cache has to grow; the caller's function, because a model may come from the hub. */
  readonly openFolder: () => Promise<ModelFolder>;
  readonly adapterPath?: string;
  /** Answers that are written at the same time, as far as the model can. */
  readonly parallel: number;
  readonly onLoad?: (done: number, total: number) => void;
}

export interface ChatPrompt {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly unknown[];
  readonly variables?: Readonly<Record<string, unknown>>;
}

export interface AnswerParams extends Pick<CompleteParams, 'ids' | 'settings' | 'form' | 'onPiece'> {
  readonly isCanceled: () => boolean;
}

export class ServedModel {
  readonly name: string;
  readonly #params: ServedModelParams;
  readonly #model: CausalModel;
  readonly #tokenizer: Tokenizer;
  readonly #chat: ChatRenderer | undefined;
  #loaded: { readonly decoder: Decoder; readonly answers: BatchedAnswers } | undefined;
  /** Resolves when the last request has begun; one that needs more room waits until the others are answered. */
  #begun: Promise<unknown> = Promise.resolve();

  private constructor(params: ServedModelParams, model: CausalModel, tokenizer: Tokenizer) {
    this.name = params.name;
    this.#params = params;
    this.#model = model;
    this.#tokenizer = tokenizer;
    this.#chat = chatRendererOf(tokenizer);
  }

  /** Reads the tokenizer and loads the weights. @throws what opening a model or an adapter throws */
  static async open(params: ServedModelParams): Promise<ServedModel> {
    const folder = await params.openFolder();
    try {
      const served = new ServedModel(params, causalModel(folder.config), await folder.loadTokenizer());
      await served.#load(folder, 1);
      return served;
    } finally {
      await folder.weights.close();
    }
  }

  /** The text of a token, as it stands in an answer. */
  tokenText(id: number): string {
    return this.#tokenizer.decode([id], { skipSpecialTokens: false });
  }

  /** The ids of a chat, and how the model writes calls if it is given tools. @throws RequestError for a model without a chat template; ChatTemplateError if the template refuses the messages */
  readChat({ messages, tools, variables }: ChatPrompt): Pick<AnswerParams, 'ids' | 'form'> {
    if (this.#chat === undefined) throw new RequestError(400, `${this.name} has no chat template; use /v1/completions`, { param: 'model' });
    const { text } = this.#chat.render({ messages, tools, variables }, { addGenerationPrompt: true });
    // The template writes the special tokens itself.
    const ids = this.#checked(this.#tokenizer.encode(text, { addSpecialTokens: false }));
    return { ids, form: tools && tools.length > 0 ? callForm(this.#tokenizer, this.#chat) : undefined };
  }

  textIds(prompt: string): readonly number[] {
    return this.#checked(createEncoder(this.#tokenizer).start(prompt));
  }

  /** Bytes of what is held, and the answers that it has room for. */
  get memory(): InferenceBytes & { readonly tokens: number; readonly parallel: number } {
    const { capacity: tokens = 0, slots: parallel = 1 } = this.#loaded?.decoder ?? {};
    return { ...inferenceBytes(this.#model, tokens, parallel), tokens, parallel };
  }

  /** Answers, together with the requests that are being answered. @throws RequestError if the prompt leaves no room for an answer */
  async answer({ ids, settings, ...others }: AnswerParams): Promise<Completion> {
    const room = this.#model.maxPositions - ids.length;
    if (room < 1)
      throw new RequestError(400, `the prompt has ${ids.length} tokens; ${this.name} has ${this.#model.maxPositions} positions`, {
        param: 'messages',
        code: 'context_length_exceeded',
      });
    const maxTokens = Math.min(settings.maxTokens, room);
    const begun = this.#begun.then(async () => {
      const answers = await this.#withRoom(ids.length + maxTokens);
      return { completion: complete({ answers, ids, settings: { ...settings, maxTokens }, ...others }) };
    });
    this.#begun = begun.catch(() => undefined);
    return (await begun).completion;
  }

  /** Called when no request is being answered. */
  async dispose(): Promise<void> {
    await this.#loaded?.decoder.dispose();
    this.#loaded = undefined;
  }

  #checked(ids: readonly number[]): readonly number[] {
    const unknown = ids.find(id => id >= this.#model.vocabularySize);
    if (unknown !== undefined) throw new RequestError(400, `the tokenizer gives the id ${unknown}, which ${this.name} does not have`);
    if (ids.length === 0) throw new RequestError(400, 'the prompt has no tokens');
    return ids;
  }

  /** A decoder whose cache has room for so many tokens. A longer cache replaces a shorter one, and the weights are loaded again. */
  async #withRoom(tokens: number): Promise<BatchedAnswers> {
    const needed = contextBucket(tokens, this.#model.maxPositions);
    if (this.#loaded && this.#loaded.decoder.capacity >= needed) return this.#loaded.answers;
    await this.#loaded?.answers.idle();
    await this.dispose();
    const folder = await this.#params.openFolder();
    try {
      return await this.#load(folder, tokens);
    } finally {
      await folder.weights.close();
    }
  }

  async #load({ weights }: ModelFolder, tokens: number): Promise<BatchedAnswers> {
    const { engine, adapterPath, parallel, onLoad } = this.#params;
    const model = this.#model;
    const adapter = adapterPath === undefined ? undefined : await readAdapter(adapterPath);
    try {
      const tuned = await adaptedModel({ model, weights, adapter });
      const decoder = await openDecoder({ engine, model, ...tuned, tokens, texts: parallel, onLoad });
      this.#loaded = { decoder, answers: new BatchedAnswers(decoder, this.#tokenizer) };
      return this.#loaded.answers;
    } finally {
      await adapter?.close();
    }
  }
}
