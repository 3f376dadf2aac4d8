/** One answer of a served model, in the terms of the API: text, counted tokens, and their probabilities. */
import type { AnswerParams } from '../generate/answer-text.ts';
import type { BatchedAnswers } from '../generate/batched-answers.ts';
import type { SamplingSettings } from '../generate/sample.ts';

export interface CompletionSettings extends SamplingSettings {
  readonly maxTokens: number;
  readonly seed: number;
  /** Texts that end the answer and are left out of it. */
  readonly stop: readonly string[];
  /** The number of likeliest tokens to report with each token; undefined reports no probabilities. */
  readonly topLogprobs?: number;
}

export interface TokenLogprob {
  readonly id: number;
  /** The natural logarithm of the model's probability, before temperature and restrictions. */
  readonly logprob: number;
}

/** A drawn token with the likeliest ones in its place, likeliest first. */
export interface DrawnToken extends TokenLogprob {
  readonly top: readonly TokenLogprob[];
}

export interface Completion {
  readonly text: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** `stop`: the model or a stop text ended it; `length`: the room did; `canceled`: the client is gone. */
  readonly finish: 'stop' | 'length' | 'canceled';
  readonly tokens: readonly DrawnToken[];
}

export interface CompleteParams extends Pick<AnswerParams, 'ids' | 'isCanceled'> {
  readonly answers: BatchedAnswers;
  readonly settings: CompletionSettings;
  /** Receives text that no stop text can take back, with the tokens drawn since the last piece. */
  readonly onPiece?: (text: string, tokens: readonly DrawnToken[]) => void;
}

export async function complete({ answers, settings, onPiece, ...request }: CompleteParams): Promise<Completion> {
  const { maxTokens, topLogprobs, ...options } = settings;
  const tokens: DrawnToken[] = [];
  let said = 0;
  const { text, ids, finishReason } = await answers.answer({
    ...request,
    maxTokens: request.ids.length + maxTokens,
    options: { ...options, maxNewTokens: maxTokens },
    ...(topLogprobs !== undefined && { onToken: (id, logits) => void tokens.push(withLogprobs(logits, id, topLogprobs)) }),
    onText: piece => {
      onPiece?.(piece, tokens.slice(said));
      said = tokens.length;
    },
  });
  const isEnded = finishReason === 'end';
  return {
    text,
    promptTokens: request.ids.length,
    // The token that ends a text counts, too.
    completionTokens: ids.length + (isEnded ? 1 : 0),
    finish: isEnded || finishReason === 'stop_text' ? 'stop' : finishReason === 'stopped' ? 'canceled' : 'length',
    tokens,
  };
}

/** The log-softmax of the drawn token and of the `count` likeliest ones, in double precision. */
export function withLogprobs(logits: Float32Array, id: number, count: number): DrawnToken {
  const largest = logits.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
  const sum = logits.reduce((total, value) => total + Math.exp(value - largest), 0);
  const logprobOf = (token: number): TokenLogprob => ({ id: token, logprob: (logits[token] ?? Number.NaN) - largest - Math.log(sum) });
  const likeliest: number[] = [];
  // A handful of the vocabulary: insertion beats sorting all of it.
  for (let token = 0; count > 0 && token < logits.length; token++) {
    const isIn = likeliest.length < count || (logits[token] ?? 0) > (logits[likeliest.at(-1) ?? 0] ?? 0);
    if (!isIn) continue;
    const at = likeliest.findIndex(other => (logits[token] ?? 0) > (logits[other] ?? 0));
    likeliest.splice(at < 0 ? likeliest.length : at, 0, token);
    if (likeliest.length > count) likeliest.pop();
  }
  return { ...logprobOf(id), top: likeliest.map(logprobOf) };
}
