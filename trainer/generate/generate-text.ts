/** Text from a model: prompt in, words out as they come, until the model ends it or the room does. */
import { adaptedModel } from '../artifact/adapter/apply-adapter.ts';
import { readAdapter } from '../artifact/adapter/read-adapter.ts';
import type { ToolCall, ToolCallForm } from '../data/tool-call-form.ts';
import type { Engine } from '../engine/engine.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import { causalModel } from '../model/load-model.ts';
import type { Conversation, GenerateOptions } from '../protocol/job-messages.ts';
import { createRandom } from '../random.ts';
import { encodeConversation } from './conversation.ts';
import { type Decoder, GenerateError, openDecoder } from './decoder.ts';
import { type EncodedPrompt, encodePrompt } from './prompt.ts';
import { type SamplingSettings, sampleToken } from './sample.ts';
import { StopText } from './stop-text.ts';
import { ToolCallStream } from './tool-call-stream.ts';
import { encodeTrainedPrompt, type TrainedStyle } from './trained-prompt.ts';

export type FinishReason = 'end' | 'stop_text' | 'max_new_tokens' | 'max_positions' | 'stopped';

export interface GeneratedText {
  readonly text: string;
  readonly ids: readonly number[];
  readonly promptTokens: number;
  /** Was the prompt wrapped by the chat template? */
  readonly chat: boolean;
  /** Was the prompt written as those of the training were? */
  readonly asTrained: boolean;
  readonly finishReason: FinishReason;
  /** Reading the prompt, up to the first token. */
  readonly promptSeconds: number;
  /** The rate of the tokens after the first; 0 if there are none. */
  readonly tokensPerSecond: number;
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
    const calls = prompt.form && new ToolCallStream(prompt.form);
    const say = (chunk: string): void => {
      const text = calls ? calls.push(chunk) : chunk;
      if (text !== '') params.onText?.(text);
    };
    const endOfCalls = (): { readonly toolCalls?: readonly ToolCall[] } => {
      if (calls === undefined) return {};
      const end = calls.end();
      if (end.text !== '') params.onText?.(end.text);
      return { toolCalls: end.calls };
    };
    try {
      return {
        ...(await decode({ ...params, ids: prompt.ids, decoder, tokenizer, maxTokens: model.maxPositions, onText: say })),
        chat: prompt.chat,
        asTrained: style !== undefined,
        ...endOfCalls(),
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

export interface DecodeParams {
  readonly decoder: Decoder;
  readonly tokenizer: Pick<Tokenizer, 'decodeStream' | 'eosIds'>;
  /** The prompt. */
  readonly ids: readonly number[];
  /** The most tokens of prompt and answer together. */
  readonly maxTokens: number;
  readonly options: SamplingSettings & {
    readonly maxNewTokens: number;
    readonly seed: number;
    /** Texts that end the answer and are left out of it. */
    readonly stop?: readonly string[];
  };
  /** Receives each token of the answer with the logits that it was drawn from, before its text. */
  readonly onToken?: (id: number, logits: Float32Array) => void;
  /** Receives text that no stop text can take back. */
  readonly onText?: (chunk: string) => void;
  /** Asked between tokens; what was said so far is then the answer. */
  readonly isCanceled?: () => boolean;
}

/** One answer from an open decoder, which may be used again: the same prompt and seed give the same answer. */
export async function decode(params: DecodeParams): Promise<Omit<GeneratedText, 'chat' | 'asTrained'>> {
  const { decoder, tokenizer, options, isCanceled } = params;
  const random = createRandom(options.seed);
  const stream = tokenizer.decodeStream();
  const stop = new StopText(options.stop ?? []);
  const ids: number[] = [];
  let text = '';
  const say = (chunk: string): void => {
    text += chunk;
    if (chunk !== '') params.onText?.(chunk);
  };
  const begin = performance.now();
  let logits = await decoder.read(params.ids, isCanceled);
  const firstAt = performance.now();
  let finishReason: FinishReason | undefined = isCanceled?.() ? 'stopped' : undefined;
  while (finishReason === undefined) {
    const id = sampleToken(checkFinite(logits), options, random);
    if (tokenizer.eosIds.includes(id)) finishReason = 'end';
    else {
      ids.push(id);
      params.onToken?.(id, logits);
      say(stop.push(stream.push(id)));
      finishReason = stop.isFound ? 'stop_text' : reasonToStop(params, ids.length);
      if (finishReason === undefined) logits = await decoder.next(id);
    }
  }
  say(stop.push(stream.end()));
  say(stop.end());
  const seconds = (performance.now() - firstAt) / 1000;
  return {
    text,
    ids,
    promptTokens: params.ids.length,
    finishReason: stop.isFound ? 'stop_text' : finishReason,
    promptSeconds: (firstAt - begin) / 1000,
    tokensPerSecond: ids.length > 1 ? (ids.length - 1) / seconds : 0,
  };
}

function reasonToStop({ ids, maxTokens, options, isCanceled }: DecodeParams, generated: number): FinishReason | undefined {
  if (isCanceled?.()) return 'stopped';
  if (generated >= options.maxNewTokens) return 'max_new_tokens';
  return ids.length + generated >= maxTokens ? 'max_positions' : undefined;
}

function checkFinite(logits: Float32Array): Float32Array {
  const bad = logits.findIndex(value => !Number.isFinite(value));
  if (bad >= 0)
    throw new GenerateError(`the model gives ${logits[bad]} for token ${bad}: its weights are damaged, or the training diverged`);
  return logits;
}
