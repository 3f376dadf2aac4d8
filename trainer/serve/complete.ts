/** Generates one answer of a served model in the terms of the API: text, token counts, and probabilities. */
import { randomUUID } from 'node:crypto';
import type { AnswerPart } from '../data/reasoning/reasoning-stream.ts';
import type { ToolCall } from '../data/tool-calls/read-calls.ts';
import { AnswerParts, type AnswerReading } from '../generate/answer-parts.ts';
import type { AnswerParams, FinishReason } from '../generate/answer-text.ts';
import type { BatchedAnswers } from '../generate/batched-answers.ts';
import type { SamplingSettings } from '../generate/sample.ts';

export interface CompletionSettings extends SamplingSettings {
  readonly maxTokens: number;
  readonly seed: number;
  /** Texts that end the answer and are not part of it. */
  readonly stop: readonly string[];
  /** Number of most likely tokens to report with each token; undefined reports no probabilities. */
  readonly topLogprobs?: number;
}

export interface TokenLogprob {
  readonly id: number;
  /** The natural logarithm of the model's probability, before temperature and restrictions. */
  readonly logprob: number;
}

/** A sampled token with the most likely tokens at its position, most likely first. */
export interface DrawnToken extends TokenLogprob {
  readonly top: readonly TokenLogprob[];
}

/** A tool call with the id that its result will name. */
export interface ServedCall extends ToolCall {
  readonly id: string;
}

export interface Completion {
  /** The answer, without the reasoning before it. */
  readonly text: string;
  /** The reasoning; empty for a model that does not reason. */
  readonly reasoning: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /**
   * `stop`: ended by the model or a stop text; `tool_calls`: ended with calls; `length`: out of room; `canceled`: the client disconnected.
   */
  readonly finish: 'stop' | 'tool_calls' | 'length' | 'canceled';
  /** The tool calls, which are not in the text. */
  readonly calls: readonly ServedCall[];
  readonly tokens: readonly DrawnToken[];
}

export interface CompleteParams extends Pick<AnswerParams, 'ids' | 'images' | 'isCanceled'> {
  readonly answers: BatchedAnswers;
  readonly settings: CompletionSettings;
  /** How to read the answer; undefined reads it as text. */
  readonly reading?: AnswerReading | undefined;
  readonly onPiece?: OnPiece;
}

/** Text that no stop text can remove any more, with the tokens sampled since the last piece; or, at the very end, the calls. */
export interface CompletionPiece {
  readonly text: string;
  readonly part: AnswerPart;
  readonly tokens: readonly DrawnToken[];
  readonly calls: readonly ServedCall[];
}

type OnPiece = (piece: CompletionPiece) => void;

export async function complete({ answers, settings, reading, onPiece, ...request }: CompleteParams): Promise<Completion> {
  const { maxTokens, topLogprobs, ...options } = settings;
  const tokens: DrawnToken[] = [];
  let passedOn = 0;
  const pass = (text: string, part: AnswerPart, calls: readonly ServedCall[] = []): void => {
    onPiece?.({ text, part, tokens: tokens.slice(passedOn), calls });
    passedOn = tokens.length;
  };
  const parts = new AnswerParts(reading, pass);
  const { ids, finishReason } = await answers.answer({
    ...request,
    maxTokens: request.ids.length + maxTokens,
    options: { ...options, maxNewTokens: maxTokens },
    keepsSpecialTokens: reading !== undefined,
    ...(topLogprobs !== undefined && { onToken: (id, logits) => void tokens.push(withLogprobs(logits, id, topLogprobs)) }),
    onText: chunk => parts.push(chunk),
  });
  const isWhole = finishReason === 'end' || finishReason === 'stop_text';
  const calls = parts.end(isWhole).map(call => ({ ...call, id: `call_${randomUUID().replaceAll('-', '').slice(0, 24)}` }));
  if (calls.length > 0) pass('', 'answer', calls);
  return {
    text: parts.answer,
    reasoning: parts.reasoning,
    promptTokens: request.ids.length,
    // The token that ends a text counts, too.
    completionTokens: ids.length + (finishReason === 'end' ? 1 : 0),
    finish: finishOf(finishReason, calls.length > 0),
    calls,
    tokens,
  };
}

function finishOf(reason: FinishReason, hasCalls: boolean): Completion['finish'] {
  if (reason === 'stopped') return 'canceled';
  if (reason !== 'end' && reason !== 'stop_text') return 'length';
  return hasCalls ? 'tool_calls' : 'stop';
}

/** The log-softmax of the sampled token and of the `count` most likely tokens, in double precision. */
export function withLogprobs(logits: Float32Array, id: number, count: number): DrawnToken {
  const largest = logits.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
  const sum = logits.reduce((total, value) => total + Math.exp(value - largest), 0);
  const logprobOf = (token: number): TokenLogprob => ({ id: token, logprob: (logits[token] ?? Number.NaN) - largest - Math.log(sum) });
  const likeliest: number[] = [];
  // Only a few tokens of the vocabulary are needed: insertion is faster than sorting.
  for (let token = 0; count > 0 && token < logits.length; token++) {
    const isIn = likeliest.length < count || (logits[token] ?? 0) > (logits[likeliest.at(-1) ?? 0] ?? 0);
    if (!isIn) continue;
    const at = likeliest.findIndex(other => (logits[token] ?? 0) > (logits[other] ?? 0));
    likeliest.splice(at < 0 ? likeliest.length : at, 0, token);
    if (likeliest.length > count) likeliest.pop();
  }
  return { ...logprobOf(id), top: likeliest.map(logprobOf) };
}
