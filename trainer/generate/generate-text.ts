/** Generates text: takes a prompt and streams the answer until the model ends it or there is no room left. */

import { tunedModel } from '../adapter/read-adapter.ts';
import type { AnswerPart } from '../data/reasoning/reasoning-stream.ts';
import type { ToolCall } from '../data/tool-calls/read-calls.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import { loadModel } from '../model/load-model.ts';
import type { CausalModel } from '../model/model-spec.ts';
import type { GenerateOptions } from '../protocol/messages/job-messages.ts';
import { promptImages } from '../vision/prompt-images.ts';
import { AnswerParts } from './answer-parts.ts';
import type { Answer } from './answer-text.ts';
import { checkKnown, GenerateError } from './decoder.ts';
import { HeldModel, type HeldModelParams } from './held-model.ts';
import { type Question, type Sight, seenPrompt } from './seen-prompt.ts';

export interface GeneratedText extends Answer {
  /** True if the chat template was applied to the prompt. */
  readonly chat: boolean;
  /** True if the prompt was written like those in training. */
  readonly asTrained: boolean;
  /** The reasoning before the answer; not part of `text`. */
  readonly reasoning?: string;
  /** Calls of the conversation's tools; not part of `text`. */
  readonly toolCalls?: readonly ToolCall[];
}

export interface TextGeneratorParams extends Pick<HeldModelParams, 'engine' | 'withFolder' | 'adapterPath' | 'precision' | 'onLoad'> {
  /** Present if the model reads images. */
  readonly sight?: Sight | undefined;
}

export interface GenerateTextParams extends Question {
  readonly options: Omit<GenerateOptions, 'engine'>;
  /** Called with the text of an answer, without tool calls. */
  readonly onText?: (chunk: string, part: AnswerPart) => void;
  /** Checked between tokens; if true, the answer ends with the text so far. */
  readonly isCanceled?: () => boolean;
}

export class TextGenerator {
  private readonly model: CausalModel;
  private readonly tokenizer: Tokenizer;
  private readonly held: HeldModel;
  private readonly sight: Sight | undefined;

  private constructor(model: CausalModel, tokenizer: Tokenizer, held: HeldModel, sight: Sight | undefined) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.held = held;
    this.sight = sight;
  }

  /**
   * Reads the tokenizer. The first prompt loads the weights, as does any prompt that needs more room. The caller disposes of the generator.
   * @throws GenerateError for a model that does not generate text, ModelConfigError and ModelFileError
   */
  static async open(folder: ModelFolder, params: TextGeneratorParams): Promise<TextGenerator> {
    const model = loadModel(folder.config);
    const tuned = await tunedModel(folder.config, params.adapterPath);
    if (model.kind !== 'causal' || tuned.kind !== 'causal')
      throw new GenerateError(
        `a ${tuned.family} with a head for labels or scores writes no text: rowtune evaluate measures it, and rowtune export takes it to other programs`,
      );
    const tokenizer = await folder.loadTokenizer();
    const { sight } = params;
    const held = new HeldModel({ ...params, model, tokenizer, parallel: 1, images: sight !== undefined });
    return new TextGenerator(model, tokenizer, held, sight);
  }

  /** See `HeldModel`; and the bytes of the encoder of images, once it is loaded. */
  get memory(): HeldModel['memory'] & { readonly encoderBytes: number } {
    return { ...this.held.memory, encoderBytes: this.sight?.isLoaded() ? this.sight.encoderBytes : 0 };
  }

  /**
   * @param folder if the caller has already opened it
   * @throws GenerateError if the prompt is too long or not in the vocabulary, AdapterError if the adapter does not fit
   */
  async generate(params: GenerateTextParams, folder?: ModelFolder): Promise<GeneratedText> {
    const { style, options } = params;
    const { maxPositions } = this.model;
    const prompt = await seenPrompt(params, this.tokenizer, this.sight);
    checkKnown(prompt.ids, this.model);
    const room = maxPositions - prompt.ids.length;
    if (room < 1)
      throw new GenerateError(`the prompt has ${prompt.ids.length} tokens; this model has ${maxPositions} positions: shorten the prompt`);
    const images =
      this.sight && (await promptImages(prompt.ids, prompt.images, { model: this.model, vectors: await this.sight.encode(prompt.images) }));
    const parts = new AnswerParts(prompt.reading, (text, part) => params.onText?.(text, part));
    const answer = await this.held.run(
      prompt.ids.length + Math.min(options.maxNewTokens, room),
      answers =>
        answers.answer({
          ...params,
          ids: prompt.ids,
          images,
          maxTokens: maxPositions,
          keepsSpecialTokens: prompt.reading !== undefined,
          onText: chunk => parts.push(chunk),
        }),
      folder,
    );
    const toolCalls = parts.end(answer.finishReason === 'end');
    return {
      ...answer,
      text: parts.answer,
      chat: prompt.chat,
      asTrained: style !== undefined,
      ...(parts.reasoning !== '' && { reasoning: parts.reasoning }),
      ...(prompt.reading?.calls && { toolCalls }),
    };
  }

  async dispose(): Promise<void> {
    await this.sight?.dispose();
    await this.held.dispose();
  }
}

/** Loads the model, generates and releases it. @throws as `TextGenerator.generate` does */
export async function generateText({
  folder,
  engine,
  adapterPath,
  precision,
  onLoad,
  sight,
  ...params
}: GenerateTextParams &
  Pick<TextGeneratorParams, 'engine' | 'adapterPath' | 'precision' | 'onLoad' | 'sight'> & {
    /** A base model or a merged export. The caller closes it. */
    readonly folder: ModelFolder;
  }): Promise<GeneratedText> {
  const generator = await TextGenerator.open(folder, { engine, adapterPath, precision, onLoad, sight, withFolder: use => use(folder) });
  try {
    return await generator.generate(params);
  } finally {
    await generator.dispose();
  }
}
