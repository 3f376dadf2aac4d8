/** The text of one answer while it is being written: from logits to tokens to text, until the model ends it or there is no room left. */

import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import { createRandom, type Random } from '../random.ts';
import type { PromptImages } from '../vision/prompt-images.ts';
import { GenerateError } from './decoder.ts';
import { type SamplingSettings, sampleToken } from './sample.ts';
import { StopText } from './stop-text.ts';

export type FinishReason = 'end' | 'stop_text' | 'max_new_tokens' | 'max_positions' | 'stopped';

export interface Answer {
  readonly text: string;
  readonly ids: readonly number[];
  readonly promptTokens: number;
  readonly finishReason: FinishReason;
  /** The time to read the prompt, up to the first token. */
  readonly promptSeconds: number;
  /** The rate of tokens after the first; 0 if there are none. */
  readonly tokensPerSecond: number;
}

export interface AnswerParams {
  /** The token ids of the prompt. */
  readonly ids: readonly number[];
  /** The images of the prompt. */
  readonly images?: PromptImages | undefined;
  /** Maximum number of tokens of prompt and answer together. */
  readonly maxTokens: number;
  readonly options: SamplingSettings & {
    readonly maxNewTokens: number;
    readonly seed: number;
    /** Texts that end the answer; they are not part of it. */
    readonly stop?: readonly string[];
  };
  /** Keeps special tokens in the text, since they may mark tool calls. */
  readonly keepsSpecialTokens?: boolean;
  /** Called with each token of the answer and the logits that it was drawn from, before its text. */
  readonly onToken?: (id: number, logits: Float32Array) => void;
  /** Called with text that can no longer turn out to be part of a stop text. */
  readonly onText?: (chunk: string) => void;
  /** Checked between tokens; if true, the answer ends with the text so far. */
  readonly isCanceled?: () => boolean;
}

/** The parts of a tokenizer that writing an answer needs. */
export type AnswerTokenizer = Pick<Tokenizer, 'decodeStream' | 'eosIds'>;

export class AnswerText {
  private readonly params: AnswerParams;
  private readonly eosIds: readonly number[];
  private readonly random: Random;
  private readonly stream: ReturnType<Tokenizer['decodeStream']>;
  private readonly stop: StopText;
  private readonly ids: number[] = [];
  private readonly begin = performance.now();
  private firstAt: number | undefined;
  private text = '';

  constructor(params: AnswerParams, tokenizer: AnswerTokenizer) {
    this.params = params;
    this.eosIds = tokenizer.eosIds;
    this.random = createRandom(params.options.seed);
    this.stream = tokenizer.decodeStream({ skipSpecialTokens: params.keepsSpecialTokens !== true });
    this.stop = new StopText(params.options.stop ?? []);
  }

  get isCanceled(): boolean {
    return this.params.isCanceled?.() ?? false;
  }

  /**
   * Draws the next token and adds its text.
   * @param logits [vocabulary]
   * @returns the token, which the model reads next, or the reason why the answer ends
   * @throws GenerateError if the logits are not finite
   */
  take(logits: Float32Array): number | FinishReason {
    this.firstAt ??= performance.now();
    const { options, onToken } = this.params;
    const id = sampleToken(checkFinite(logits), options, this.random);
    if (this.eosIds.includes(id)) return 'end';
    this.ids.push(id);
    onToken?.(id, logits);
    this.emit(this.stop.push(this.stream.push(id)));
    return this.reasonToStop() ?? id;
  }

  /** Returns the complete answer, including text that was held back. */
  end(reason: FinishReason): Answer {
    this.emit(this.stop.push(this.stream.end()));
    this.emit(this.stop.end());
    const [firstAt, count] = [this.firstAt ?? performance.now(), this.ids.length];
    return {
      text: this.text,
      ids: this.ids,
      promptTokens: this.params.ids.length,
      finishReason: this.stop.isFound ? 'stop_text' : reason,
      promptSeconds: (firstAt - this.begin) / 1000,
      tokensPerSecond: count > 1 ? ((count - 1) * 1000) / (performance.now() - firstAt) : 0,
    };
  }

  private emit(chunk: string): void {
    this.text += chunk;
    if (chunk !== '') this.params.onText?.(chunk);
  }

  private reasonToStop(): FinishReason | undefined {
    const { ids, maxTokens, options } = this.params;
    if (this.stop.isFound) return 'stop_text';
    if (this.ids.length >= options.maxNewTokens) return 'max_new_tokens';
    return ids.length + this.ids.length >= maxTokens ? 'max_positions' : undefined;
  }
}

function checkFinite(logits: Float32Array): Float32Array {
  const bad = logits.findIndex(value => !Number.isFinite(value));
  if (bad >= 0)
    throw new GenerateError(`the model gives ${logits[bad]} for token ${bad}: its weights are damaged, or the training diverged`);
  return logits;
}
