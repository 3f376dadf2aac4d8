/** Ends a stream of text at the first of several texts, which may lie across pieces. */
export class StopText {
  readonly #texts: readonly string[];
  /** Text that may be the beginning of a stop text. */
  #held = '';
  #isFound = false;

  constructor(texts: readonly string[]) {
    this.#texts = texts.filter(text => text !== '');
  }

  get isFound(): boolean {
    return this.#isFound;
  }

  /** Returns the text that is certain to belong to the answer. */
  push(piece: string): string {
    if (this.#isFound) return '';
    const text = this.#held + piece;
    const places = this.#texts.map(stop => text.indexOf(stop)).filter(place => place >= 0);
    if (places.length > 0) {
      this.#isFound = true;
      this.#held = '';
      return text.slice(0, Math.min(...places));
    }
    const begun = Math.max(0, ...this.#texts.map(stop => overlap(text, stop)));
    this.#held = text.slice(text.length - begun);
    return text.slice(0, text.length - begun);
  }

  /** Returns what was held back: the text is over, so it is no beginning of a stop text. */
  end(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }
}

/** The length of the longest end of `text` that is a beginning of `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
