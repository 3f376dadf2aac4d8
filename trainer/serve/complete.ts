/** One answer of a served model: tokens as they are drawn, until the model, a stop text, the room or the client ends it. */
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import { checkFinite } from '../generate/check-finite.ts';
import type { Decoder } from '../generate/decoder.ts';
import { type SamplingSettings, sampleToken } from '../generate/sample.ts';
import { createRandom } from '../random.ts';
import { StopText } from './stop-text.ts';

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

export interface CompleteParams {
  readonly decoder: Pick<Decoder, 'read' | 'next'>;
  readonly tokenizer: Pick<Tokenizer, 'decodeStream' | 'eosIds'>;
  readonly ids: readonly number[];
  readonly settings: CompletionSettings;
  /** Receives text that no stop text can take back, with the tokens drawn since the last piece. */
  readonly onPiece?: (text: string, tokens: readonly DrawnToken[]) => void;
  readonly isCanceled: () => boolean;
}

export async function complete({ decoder, tokenizer, ids, settings, onPiece, isCanceled }: CompleteParams): Promise<Completion> {
  const random = createRandom(settings.seed);
  const stream = tokenizer.decodeStream();
  const stop = new StopText(settings.stop);
  const tokens: DrawnToken[] = [];
  let drawn = 0;
  let text = '';
  let said = 0;
  const say = (piece: string): void => {
    text += piece;
    if (piece === '') return;
    onPiece?.(piece, tokens.slice(said));
    said = tokens.length;
  };
  let finish: Completion['finish'] | undefined;
  let logits = await decoder.read(ids, isCanceled);
  if (isCanceled()) finish = 'canceled';
  while (finish === undefined) {
    const id = sampleToken(checkFinite(logits), settings, random);
    drawn++;
    if (tokenizer.eosIds.includes(id)) {
      finish = 'stop';
      break;
    }
    if (settings.topLogprobs !== undefined) tokens.push(withLogprobs(logits, id, settings.topLogprobs));
    say(stop.push(stream.push(id)));
    if (stop.isFound) finish = 'stop';
    else if (isCanceled()) finish = 'canceled';
    else if (drawn >= settings.maxTokens) finish = 'length';
    else logits = await decoder.next(id);
  }
  say(stop.push(stream.end()));
  say(stop.end());
  return { text, promptTokens: ids.length, completionTokens: drawn, finish: stop.isFound ? 'stop' : finish, tokens };
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
