/** Separates the text of an answer from the tool calls in it, while the answer is being written. */
import { type ToolCallForm, type ToolUse, toolUseOf } from '../data/tool-calls/call-form.ts';
import { hasLetter, markPattern } from '../data/tool-calls/marks.ts';
import { mayBeginCall, type ToolCall, toolCallsIn } from '../data/tool-calls/read-calls.ts';
import type { ChatRenderer } from '../data/types.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import { StopText } from './stop-text.ts';

/** The facts that reading calls takes, for a model that was given tools. */
export interface CallReading {
  readonly form: ToolCallForm;
  /** The tools that the model was given, in the form of the API. */
  readonly tools: readonly unknown[];
  /** The special tokens of the model, which are no part of a text. */
  readonly specialTexts: readonly string[];
}

/** The use that a model makes of tools, by its template, and the means to read its calls. */
export interface ToolCalling extends ToolUse {
  /** Undefined if there are no tools, or their calls are returned as text. */
  reading(tools: readonly unknown[] | undefined): CallReading | undefined;
}

export function toolCalling(renderer: ChatRenderer, { specialTexts }: Pick<Tokenizer, 'specialTexts'>): ToolCalling {
  const use = toolUseOf(renderer);
  return {
    ...use,
    reading: (tools = []) => (tools.length === 0 || use.form === undefined ? undefined : { form: use.form, tools, specialTexts }),
  };
}

export class ToolCallStream {
  readonly #reading: CallReading;
  readonly #beginning: StopText;
  readonly #special: RegExp | undefined;
  /** The answer so far. */
  #text = '';
  /** The number of its characters that were passed on. */
  #said = 0;

  constructor(reading: CallReading) {
    this.#reading = reading;
    this.#beginning = new StopText([reading.form.opening]);
    // A token of space alone has no pattern, and an empty one would match before the others do.
    const special = reading.specialTexts.map(markPattern).filter(pattern => pattern !== '');
    this.#special = special.length > 0 ? new RegExp(special.join('|'), 'gu') : undefined;
  }

  /** Returns the text that is certain to be no call. */
  push(piece: string): string {
    this.#text += piece;
    const { form } = this.#reading;
    // A mark can stand anywhere. A bracket is a call only at the start of an answer.
    const isMarked = hasLetter(form.opening);
    const isHeld = !isMarked && this.#said === 0 && mayBeginCall(this.#visible(this.#text), form);
    const text = isMarked ? this.#beginning.push(piece) : isHeld ? '' : this.#text.slice(this.#said);
    this.#said += text.length;
    return this.#visible(text);
  }

  /** Returns the calls, and the text that is left; all of it if there is no call in it. */
  end(): { readonly text: string; readonly calls: readonly ToolCall[] } {
    const { form, tools } = this.#reading;
    const held = this.#text.slice(this.#said);
    const calls = toolCallsIn(hasLetter(form.opening) ? held : this.#visible(held), form, tools);
    return { text: calls.length === 0 ? this.#visible(held) : '', calls };
  }

  #visible(text: string): string {
    return this.#special === undefined ? text : text.replaceAll(this.#special, '');
  }
}

/** Passes on the text of an answer without its calls; all of it where no calls are read. */
export function withoutCalls(reading: CallReading | undefined, onText: (chunk: string) => void) {
  const stream = reading && new ToolCallStream(reading);
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
