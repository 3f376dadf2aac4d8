/**
 * Answers of one model that are written together (continuous batching, Yu et al. 2022): each step of the engine writes one token of every
 * answer, a prompt is read in stretches between these steps, and an answer that ends makes room for the next.
 */
import { elementAt } from '../narrow.ts';
import { type Answer, type AnswerParams, AnswerText, type AnswerTokenizer, type FinishReason } from './answer-text.ts';
import type { Decoder } from './decoder.ts';

interface Request {
  readonly params: AnswerParams;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

interface Writing extends Request {
  readonly slot: number;
  readonly text: AnswerText;
}

/** Writes several answers at once. It must be the only user of its decoder. */
export class BatchedAnswers {
  private readonly decoder: Decoder;
  private readonly tokenizer: AnswerTokenizer;
  private readonly waiting: Request[] = [];
  /** The answers being written, in the order in which they began. */
  private writing: readonly Writing[] = [];
  private work: Promise<void> | undefined;

  constructor(decoder: Decoder, tokenizer: AnswerTokenizer) {
    this.decoder = decoder;
    this.tokenizer = tokenizer;
  }

  /**
   * Writes an answer. The same prompt and seed give the same tokens whether it is written alone or with others, as far as the engine's
   * products of one row and of several rows agree.
   * @throws GenerateError for a prompt without tokens or too long, and for a model whose outputs are not finite
   */
  answer(params: AnswerParams): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ params, resolve, reject });
      this.work ??= this.writeAll();
    });
  }

  /** Resolves when no answer is being written. */
  async idle(): Promise<void> {
    while (this.work) await this.work;
  }

  private async writeAll(): Promise<void> {
    // Requests from the same moment start together.
    await Promise.resolve();
    while (this.waiting.length > 0 || this.writing.length > 0) {
      this.admit();
      try {
        await this.advance();
      } catch (error) {
        for (const one of this.writing) one.reject(error);
        this.writing = [];
      }
    }
    // No await follows the last check, so a later request starts the loop again.
    this.work = undefined;
  }

  /** Gives free slots to waiting requests. */
  private admit(): void {
    for (let slot = this.freeSlot(); slot !== undefined && this.waiting.length > 0; slot = this.freeSlot()) {
      const request = this.waiting.shift();
      if (request) this.beginIn(slot, request);
    }
  }

  /** The free slot that already holds most of the next prompt, the first among equals: using low slots keeps the step small. */
  private freeSlot(): number | undefined {
    const [next] = this.waiting;
    const isFree = (slot: number): boolean => this.writing.every(one => one.slot !== slot);
    const kept = (slot: number): number => (next ? this.decoder.keptOf(slot, next.params.ids, next.params.images) : 0);
    const free = Array.from({ length: this.decoder.slots }, (_, slot) => slot).filter(isFree);
    return free.sort((a, b) => kept(b) - kept(a) || a - b)[0];
  }

  private beginIn(slot: number, request: Request): void {
    try {
      this.decoder.begin(slot, request.params.ids, request.params.images);
      this.writing = [...this.writing, { ...request, slot, text: new AnswerText(request.params, this.tokenizer) }];
    } catch (error) {
      request.reject(error);
    }
  }

  /** Reads a stretch of the first prompt that is not fully read, and writes one token of each answer. */
  private async advance(): Promise<void> {
    const isRead = ({ slot }: Writing): boolean => this.decoder.unread(slot) <= 1;
    for (const one of this.writing) this.handle(one, text => (text.isCanceled ? 'stopped' : undefined));
    const reading = this.writing.find(one => !isRead(one));
    const ready = this.writing.filter(isRead);
    const logits = reading && (await this.decoder.readStretch(reading.slot));
    if (reading && logits) this.take(reading, logits);
    if (ready.length === 0) return;
    const all = await this.decoder.step(ready.map(({ slot }) => slot));
    for (const [i, one] of ready.entries()) this.take(one, elementAt(all, i));
  }

  private take(one: Writing, logits: Float32Array): void {
    this.handle(one, text => {
      const next = text.take(logits);
      if (typeof next !== 'number') return next;
      this.decoder.push(one.slot, next);
      return undefined;
    });
  }

  /** Ends an answer for the reason that `work` returns, or with the error that it throws, and frees its slot. */
  private handle(one: Writing, work: (text: AnswerText) => FinishReason | undefined): void {
    let settle: (() => void) | undefined;
    try {
      const reason = work(one.text);
      const answer = reason && one.text.end(reason);
      if (answer) settle = () => one.resolve(answer);
    } catch (error) {
      settle = () => one.reject(error);
    }
    if (!settle) return;
    this.writing = this.writing.filter(other => other !== one);
    settle();
  }
}
