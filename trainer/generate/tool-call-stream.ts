/** Separates the text of an answer from its tool calls while the answer is being written. */
import type { ToolCallForm } from '../data/tool-calls/call-form.ts';
import { hasLetter } from '../data/tool-calls/marks.ts';
import { mayBeginCall, type ToolCall, toolCallsIn } from '../data/tool-calls/read-calls.ts';
import { StopText } from './stop-text.ts';

/** The information needed to read the calls of a model that was given tools. */
export interface CallReading {
  readonly form: ToolCallForm;
  /** The tools that the model was given, in the API's form. */
  readonly tools: readonly unknown[];
  /** Removes the model's special tokens from a text. */
  readonly visible: (text: string) => string;
}

export class ToolCallStream {
  private readonly reading: CallReading;
  private readonly beginning: StopText;
  /** The answer so far. */
  private text = '';
  /** Number of its characters that were passed on. */
  private emittedLength = 0;

  constructor(reading: CallReading) {
    this.reading = reading;
    this.beginning = new StopText([reading.form.opening]);
  }

  /** Returns the text that is certainly not part of a call. */
  push(piece: string): string {
    this.text += piece;
    const { form, visible } = this.reading;
    // A mark can appear anywhere, but a bracket starts a call only at the start of an answer.
    const isMarked = hasLetter(form.opening);
    const isHeld = !isMarked && this.emittedLength === 0 && mayBeginCall(visible(this.text), form);
    const text = isMarked ? this.beginning.push(piece) : isHeld ? '' : this.text.slice(this.emittedLength);
    this.emittedLength += text.length;
    return visible(text);
  }

  /** Returns the calls and the remaining text, which is all of it if it contains no call. */
  end(): { readonly text: string; readonly calls: readonly ToolCall[] } {
    const { form, tools, visible } = this.reading;
    const held = this.text.slice(this.emittedLength);
    const calls = toolCallsIn(hasLetter(form.opening) ? held : visible(held), form, tools);
    return { text: calls.length === 0 ? visible(held) : '', calls };
  }
}
