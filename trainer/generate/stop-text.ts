/** Ends a stream of text at the first of several stop texts. */
import { overlap } from '../data/tool-calls/marks.ts';

/** Ends a stream of text at the first of several stop texts, which may span several pieces. */
export class StopText {
  private readonly texts: readonly string[];
  /** Text that may be the start of a stop text. */
  private held = '';
  private hasEnded = false;

  constructor(texts: readonly string[]) {
    this.texts = texts.filter(text => text !== '');
  }

  get isFound(): boolean {
    return this.hasEnded;
  }

  /** Returns the text that certainly belongs to the answer. */
  push(piece: string): string {
    if (this.hasEnded) return '';
    const text = this.held + piece;
    const places = this.texts.map(stop => text.indexOf(stop)).filter(place => place >= 0);
    if (places.length > 0) {
      this.hasEnded = true;
      this.held = '';
      return text.slice(0, Math.min(...places));
    }
    const begun = Math.max(0, ...this.texts.map(stop => overlap(text, stop)));
    this.held = text.slice(text.length - begun);
    return text.slice(0, text.length - begun);
  }

  /** Returns the text that was held back: since the stream has ended, it is not a stop text. */
  end(): string {
    const rest = this.held;
    this.held = '';
    return rest;
  }
}
