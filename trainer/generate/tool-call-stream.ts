/** Separates the text of an answer from the calls of tools in it, while the answer is being written. */
import { type ToolCall, type ToolCallForm, toolCallsIn } from '../data/tool-call-form.ts';
import { StopText } from './stop-text.ts';

export class ToolCallStream {
  readonly #form: ToolCallForm;
  readonly #beginning: StopText;
  /** The answer so far. */
  #text = '';
  /** The number of its characters that were passed on. */
  #said = 0;

  constructor(form: ToolCallForm) {
    this.#form = form;
    this.#beginning = new StopText([form.opening]);
  }

  /** Returns the text that is certain to be no call. */
  push(piece: string): string {
    this.#text += piece;
    // A mark can stand anywhere. A bracket is a call only at the start of an answer.
    const text = /\w/.test(this.#form.opening) ? this.#beginning.push(piece) : this.#isAtStart() ? '' : this.#text.slice(this.#said);
    this.#said += text.length;
    return text;
  }

  /** Returns the calls, and the text that is left; all of it if there is no call in it. */
  end(): { readonly text: string; readonly calls: readonly ToolCall[] } {
    const held = this.#text.slice(this.#said);
    const calls = toolCallsIn(held, this.#form);
    return { text: calls.length === 0 ? held : '', calls };
  }

  /** Whether the answer can still become a call. */
  #isAtStart(): boolean {
    const given = this.#text.replaceAll(/\s/g, '');
    const start = `${this.#form.opening.replaceAll(/\s/g, '')}{`;
    return this.#said === 0 && (given.startsWith(start) || start.startsWith(given));
  }
}

/** Passes on the text of an answer without its calls; all of it where no form of calls is known. */
export function withoutCalls(form: ToolCallForm | undefined, onText: (chunk: string) => void) {
  const stream = form && new ToolCallStream(form);
  const say = (text: string): void => {
    if (text !== '') onText(text);
  };
  return {
    onText: (chunk: string): void => say(stream ? stream.push(chunk) : chunk),
    /** Returns the calls when the answer is over. */
    end: (): readonly ToolCall[] => {
      if (!stream) return [];
      const { text, calls } = stream.end();
      say(text);
      return calls;
    },
  };
}
