/** A loaded model that answers API requests, several at the same time if possible. */

import { chatRendererOf } from '../data/chat/chat-renderer.ts';
import { DataError } from '../data/data-error.ts';
import { createEncoder } from '../data/example/encoder.ts';
import type { ChatMessage, ChatRenderer } from '../data/types.ts';
import { messagesWithImages } from '../data/vision/attach-images.ts';
import { turnsBringImages } from '../data/vision/image-parts.ts';
import { imagesIn, type SampleImage } from '../data/vision/sample-image.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import { type AnswerForms, answerForms } from '../generate/answer-parts.ts';
import { HeldModel, type HeldModelParams } from '../generate/held-model.ts';
import type { Sight } from '../generate/seen-prompt.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import { unknownToken } from '../model/known-tokens.ts';
import { causalModel } from '../model/load-model.ts';
import type { CausalModel } from '../model/model-spec.ts';
import { type PromptImages, promptImages } from '../vision/prompt-images.ts';
import { type CompleteParams, type Completion, complete } from './complete.ts';
import { RequestError } from './request-error.ts';

export interface ServedModelParams extends Omit<HeldModelParams, 'model' | 'tokenizer' | 'images'> {
  readonly name: string;
  /** Present if the model reads images. */
  readonly sight?: Sight | undefined;
}

export interface ChatPrompt {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly unknown[];
  readonly variables?: Readonly<Record<string, unknown>>;
}

export interface AnswerParams extends Pick<CompleteParams, 'ids' | 'images' | 'settings' | 'reading' | 'onPiece'> {
  readonly isCanceled: () => boolean;
}

export class ServedModel {
  readonly name: string;
  private readonly model: CausalModel;
  private readonly tokenizer: Tokenizer;
  private readonly chat: ChatRenderer | undefined;
  private readonly forms: AnswerForms | undefined;
  private readonly held: HeldModel;
  private readonly sight: Sight | undefined;

  private constructor({ name, sight, ...params }: ServedModelParams, model: CausalModel, tokenizer: Tokenizer) {
    this.name = name;
    this.model = model;
    this.tokenizer = tokenizer;
    this.sight = sight;
    this.chat = chatRendererOf(tokenizer, undefined, sight?.reading.placeholder);
    this.forms = this.chat && answerForms(this.chat, tokenizer);
    this.held = new HeldModel({ ...params, model, tokenizer, images: sight !== undefined });
  }

  /** Reads the tokenizer and loads the weights. @throws errors of opening a model or an adapter */
  static async open(folder: ModelFolder, params: ServedModelParams): Promise<ServedModel> {
    const served = new ServedModel(params, causalModel(folder.config), await folder.loadTokenizer());
    await served.held.load(folder, 1);
    return served;
  }

  /** True if the template shows tools to the model but its calls are returned as text. */
  get hasUnreadCalls(): boolean {
    return this.forms?.passesTools === true && this.forms.form === undefined;
  }

  /** The text of a token as it appears in an answer. */
  tokenText(id: number): string {
    return this.tokenizer.decode([id], { skipSpecialTokens: false });
  }

  /**
   * The ids of a chat with its images, and how to read its answer.
   * @throws RequestError for a model without a chat template, for tools that the template drops, and for images that cannot be read; ChatTemplateError if the template refuses
   * the messages
   */
  async readChat({ messages: given, tools, variables }: ChatPrompt): Promise<Pick<AnswerParams, 'ids' | 'images' | 'reading'>> {
    if (this.chat === undefined) throw new RequestError(400, `${this.name} has no chat template; use /v1/completions`, { param: 'model' });
    if (tools !== undefined && tools.length > 0 && this.forms?.passesTools !== true)
      throw new RequestError(
        400,
        `the chat template of ${this.name} passes no tools to the model; leave them out, or serve another model`,
        {
          param: 'tools',
        },
      );
    const messages = await this.withImages(given);
    const { text } = this.chat.render({ messages, tools, variables }, { addGenerationPrompt: true });
    // The template writes the special tokens itself.
    const ids = this.checked(this.tokenizer.encode(text, { addSpecialTokens: false }));
    return { ids, images: await this.seen(ids, imagesIn(messages)), reading: this.forms?.reading(ids, tools) };
  }

  /** The messages with their images opened. */
  private async withImages(messages: readonly ChatMessage[]): Promise<readonly ChatMessage[]> {
    if (!turnsBringImages(messages)) return messages;
    if (!this.sight) throw new RequestError(400, `${this.name} reads no images`, { param: 'messages' });
    try {
      return await messagesWithImages({ messages, source: 'the request' }, this.sight.reading);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      throw new RequestError(400, `${error.problem}. ${error.advice}`, { param: error.place.key ?? 'messages' });
    }
  }

  private async seen(ids: readonly number[], images: readonly SampleImage[]): Promise<PromptImages | undefined> {
    if (!this.sight || images.length === 0) return undefined;
    return promptImages(ids, images, { model: this.model, vectors: await this.sight.encode(images) });
  }

  textIds(prompt: string): readonly number[] {
    return this.checked(createEncoder(this.tokenizer).start(prompt));
  }

  /** See `HeldModel`; and the bytes of the encoder of images, which the first image loads. */
  get memory(): HeldModel['memory'] & { readonly encoderBytes: number } {
    return { ...this.held.memory, encoderBytes: this.sight?.encoderBytes ?? 0 };
  }

  /** Generates an answer, together with those of concurrent requests. @throws RequestError if the prompt leaves no room for an answer */
  async answer({ ids, settings, ...others }: AnswerParams): Promise<Completion> {
    const room = this.model.maxPositions - ids.length;
    if (room < 1)
      throw new RequestError(400, `the prompt has ${ids.length} tokens; ${this.name} has ${this.model.maxPositions} positions`, {
        param: 'messages',
        code: 'context_length_exceeded',
      });
    const maxTokens = Math.min(settings.maxTokens, room);
    return this.held.run(ids.length + maxTokens, answers => complete({ answers, ids, settings: { ...settings, maxTokens }, ...others }));
  }

  /** Releases the model; called when no request is being answered. */
  async dispose(): Promise<void> {
    await this.sight?.dispose();
    await this.held.dispose();
  }

  private checked(ids: readonly number[]): readonly number[] {
    const unknown = unknownToken(ids, this.model);
    if (unknown) throw new RequestError(400, `${unknown.problem}. ${unknown.advice}`);
    if (ids.length === 0) throw new RequestError(400, 'the prompt has no tokens');
    return ids;
  }
}
