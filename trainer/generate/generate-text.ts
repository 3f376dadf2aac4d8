/** Text from a model: prompt in, words out as they come, until the model ends it or the room does. */
import { adaptedModel } from '../artifact/adapter/apply-adapter.ts';
import { readAdapter } from '../artifact/adapter/read-adapter.ts';
import type { ToolCall, ToolCallForm } from '../data/tool-call-form.ts';
import type { Engine } from '../engine/engine.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import { causalModel } from '../model/load-model.ts';
import type { Conversation, GenerateOptions } from '../protocol/job-messages.ts';
import type { Answer } from './answer-text.ts';
import { BatchedAnswers } from './batched-answers.ts';
import { encodeConversation } from './conversation.ts';
import { GenerateError, openDecoder } from './decoder.ts';
import { type EncodedPrompt, encodePrompt } from './prompt.ts';
import { withoutCalls } from './tool-call-stream.ts';
import { encodeTrainedPrompt, type TrainedStyle } from './trained-prompt.ts';

export interface GeneratedText extends Answer {
  /** Was the prompt wrapped by the chat template? */
  readonly chat: boolean;
  /** Was the prompt written as those of the training were? */
  readonly asTrained: boolean;
  /** Calls of the conversation's tools; `text` has them as the model wrote them. */
  readonly toolCalls?: readonly ToolCall[];
}

export interface GenerateTextParams {
  readonly engine: Engine;
  /** A base model, or a merged export. The caller closes it. */
  readonly folder: ModelFolder;
  /** A run, a checkpoint or an exported adapter of ours or of PEFT, on top of it. */
  readonly adapterPath?: string;
  readonly prompt: string;
  /** A chat, which takes the place of the prompt. */
  readonly conversation?: Conversation | undefined;
  /** The prompt style of the training, if the prompt is to be written as the training's prompts were. */
  readonly style?: TrainedStyle;
  readonly options: Omit<GenerateOptions, 'engine'>;
  /** Receives the text of an answer, without calls of tools. */
  readonly onText?: (chunk: string) => void;
  readonly onLoad?: (done: number, total: number) => void;
  /** Asked between tokens; what was said so far is then the answer. */
  readonly isCanceled?: () => boolean;
}

/**
 * Loads, generates and lets go again.
 * @throws GenerateError where the prompt has no room or no place in the vocabulary, AdapterError where the adapter does not fit
 */
export async function generateText(params: GenerateTextParams): Promise<GeneratedText> {
  const { engine, folder, adapterPath, style, options, onLoad } = params;
  const model = causalModel(folder.config);
  const tokenizer = await folder.loadTokenizer();
  const prompt = promptOf(params, tokenizer);
  const unknown = prompt.ids.find(id => id >= model.vocabularySize);
  if (unknown !== undefined)
    throw new GenerateError(
      `the tokenizer gives the id ${unknown}, but the model has ${model.vocabularySize} tokens: the two are not of one model`,
    );
  const room = model.maxPositions - prompt.ids.length;
  if (room < 1)
    throw new GenerateError(
      `the prompt has ${prompt.ids.length} tokens; this model has ${model.maxPositions} positions: shorten the prompt`,
    );
  const adapter = adapterPath === undefined ? undefined : await readAdapter(adapterPath);
  try {
    const tuned = await adaptedModel({ model, weights: folder.weights, adapter });
    const tokens = prompt.ids.length + Math.min(options.maxNewTokens, room);
    const decoder = await openDecoder({ engine, model, ...tuned, tokens, onLoad });
    const answers = new BatchedAnswers(decoder, tokenizer);
    const calls = withoutCalls(prompt.form, text => params.onText?.(text));
    try {
      return {
        ...(await answers.answer({ ...params, ids: prompt.ids, maxTokens: model.maxPositions, onText: calls.onText })),
        chat: prompt.chat,
        asTrained: style !== undefined,
        ...(prompt.form && { toolCalls: calls.end() }),
      };
    } finally {
      await decoder.dispose();
    }
  } finally {
    await adapter?.close();
  }
}

function promptOf(
  { prompt, conversation, style, options }: GenerateTextParams,
  tokenizer: Tokenizer,
): EncodedPrompt & { readonly form?: ToolCallForm | undefined } {
  if (conversation) return encodeConversation(tokenizer, conversation, style);
  return style ? encodeTrainedPrompt(tokenizer, prompt, style) : encodePrompt(tokenizer, prompt, options.chat);
}
