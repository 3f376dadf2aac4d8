/** Text from a model: prompt in, words out as they come, until the model ends it or the room does. */

import type { AnswerPart } from '../data/reasoning/reasoning-stream.ts';
import type { ToolCall } from '../data/tool-calls/read-calls.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import { loadModel } from '../model/load-model.ts';
import type { CausalModel } from '../model/model-spec.ts';
import type { Conversation, GenerateOptions } from '../protocol/messages/job-messages.ts';
import { AnswerParts, type AnswerReading } from './answer-parts.ts';
import type { Answer } from './answer-text.ts';
import { encodeConversation, withReading } from './conversation.ts';
import { GenerateError } from './decoder.ts';
import { HeldModel, type HeldModelParams } from './held-model.ts';
import { type EncodedPrompt, encodePrompt } from './prompt.ts';
import { encodeTrainedPrompt, type TrainedStyle } from './trained-prompt.ts';

export interface GeneratedText extends Answer {
  /** Was the prompt wrapped by the chat template? */
  readonly chat: boolean;
  /** Was the prompt written as those of the training were? */
  readonly asTrained: boolean;
  /** The reasoning before the answer, which `text` is without. */
  readonly reasoning?: string;
  /** Calls of the conversation's tools, which `text` is without. */
  readonly toolCalls?: readonly ToolCall[];
}

export interface TextGeneratorParams extends Pick<HeldModelParams, 'engine' | 'withFolder' | 'adapterPath' | 'onLoad'> {}

export interface GenerateTextParams {
  readonly prompt: string;
  /** A chat, which takes the place of the prompt. */
  readonly conversation?: Conversation | undefined;
  /** The prompt style of the training, if the prompt is to be written as the training's prompts were. */
  readonly style?: TrainedStyle | undefined;
  readonly options: Omit<GenerateOptions, 'engine'>;
  /** Receives the text of an answer, without tool calls. */
  readonly onText?: (chunk: string, part: AnswerPart) => void;
  /** Asked between tokens; what was said so far is then the answer. */
  readonly isCanceled?: () => boolean;
}

export class TextGenerator {
  readonly #model: CausalModel;
  readonly #tokenizer: Tokenizer;
  readonly #held: HeldModel;

  private constructor(model: CausalModel, tokenizer: Tokenizer, held: HeldModel) {
    this.#model = model;
    this.#tokenizer = tokenizer;
    this.#held = held;
  }

  /**
   * Reads the tokenizer. Weights are loaded by the first prompt, and again by one that needs more room. The caller disposes it.
   * @throws GenerateError for a model that writes no text, ModelConfigError and ModelFileError
   */
  static async open(folder: ModelFolder, params: TextGeneratorParams): Promise<TextGenerator> {
    const model = loadModel(folder.config);
    if (model.kind !== 'causal')
      throw new GenerateError(
        `a ${model.family} that classifies writes no text: rowtune evaluate measures it, and rowtune export takes it to other programs`,
      );
    const tokenizer = await folder.loadTokenizer();
    return new TextGenerator(model, tokenizer, new HeldModel({ ...params, model, tokenizer, parallel: 1 }));
  }

  get memory(): HeldModel['memory'] {
    return this.#held.memory;
  }

  /**
   * @param folder an open one, where the caller has it
   * @throws GenerateError where the prompt has no room or no place in the vocabulary, AdapterError where the adapter does not fit
   */
  async generate(params: GenerateTextParams, folder?: ModelFolder): Promise<GeneratedText> {
    const { style, options } = params;
    const { maxPositions, vocabularySize } = this.#model;
    const prompt = promptOf(params, this.#tokenizer);
    const unknown = prompt.ids.find(id => id >= vocabularySize);
    if (unknown !== undefined)
      throw new GenerateError(
        `the tokenizer gives the id ${unknown}, but the model has ${vocabularySize} tokens: the two are not of one model`,
      );
    const room = maxPositions - prompt.ids.length;
    if (room < 1)
      throw new GenerateError(`the prompt has ${prompt.ids.length} tokens; this model has ${maxPositions} positions: shorten the prompt`);
    const parts = new AnswerParts(prompt.reading, (text, part) => params.onText?.(text, part));
    const answer = await this.#held.run(
      prompt.ids.length + Math.min(options.maxNewTokens, room),
      answers =>
        answers.answer({
          ...params,
          ids: prompt.ids,
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

  dispose(): Promise<void> {
    return this.#held.dispose();
  }
}

/** Loads, generates and lets go again. @throws as `TextGenerator.generate` does */
export async function generateText({
  folder,
  engine,
  adapterPath,
  onLoad,
  ...params
}: GenerateTextParams &
  Pick<TextGeneratorParams, 'engine' | 'adapterPath' | 'onLoad'> & {
    /** A base model, or a merged export. The caller closes it. */
    readonly folder: ModelFolder;
  }): Promise<GeneratedText> {
  const generator = await TextGenerator.open(folder, { engine, adapterPath, onLoad, withFolder: use => use(folder) });
  try {
    return await generator.generate(params);
  } finally {
    await generator.dispose();
  }
}

function promptOf(
  { prompt, conversation, style, options }: GenerateTextParams,
  tokenizer: Tokenizer,
): EncodedPrompt & { readonly reading: AnswerReading | undefined } {
  if (conversation) return encodeConversation(tokenizer, conversation, style);
  return withReading(tokenizer, style ? encodeTrainedPrompt(tokenizer, prompt, style) : encodePrompt(tokenizer, prompt, options.chat));
}
