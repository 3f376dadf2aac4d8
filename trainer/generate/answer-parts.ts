/** Splits an answer into its reasoning, text and tool calls, by the marks of the model's chat template. */
import { type ReasoningForm, reasoningFormOf } from '../data/reasoning/reasoning-form.ts';
import { type AnswerPart, type PartOfText, ReasoningStream } from '../data/reasoning/reasoning-stream.ts';
import { type ToolUse, toolUseOf } from '../data/tool-calls/call-form.ts';
import { markPattern } from '../data/tool-calls/marks.ts';
import type { ToolCall } from '../data/tool-calls/read-calls.ts';
import type { ChatRenderer } from '../data/types.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import { type CallReading, ToolCallStream } from './tool-call-stream.ts';

/** The information needed to split one answer into its parts. */
export interface AnswerReading {
  /** Undefined for a model whose template has no reasoning. */
  readonly reasoning: { readonly form: ReasoningForm; readonly isBegun: boolean } | undefined;
  /** Undefined if there are no tools, or if calls are returned as text. */
  readonly calls: CallReading | undefined;
  /** Removes the model's special tokens from a text. */
  readonly visible: (text: string) => string;
}

/** How a model uses tools according to its template, and how to read its answers. */
export interface AnswerForms extends ToolUse {
  /**
   * @param prompt token ids; the prompt may end inside the reasoning
   * @param tools that the model was given
   * @returns undefined if an answer is only text
   */
  reading(prompt: readonly number[], tools?: readonly unknown[]): AnswerReading | undefined;
}

/** Number of tokens at the end of the prompt that are searched for the start of reasoning. */
const LOOKED_AT = 16;

export function answerForms(renderer: ChatRenderer, tokenizer: Pick<Tokenizer, 'specialTexts' | 'decode'>): AnswerForms {
  const use = toolUseOf(renderer);
  const form = reasoningFormOf(renderer);
  const visible = withoutSpecials(tokenizer.specialTexts);
  return {
    ...use,
    reading: (prompt, tools = []) => {
      const calls = tools.length === 0 || use.form === undefined ? undefined : { form: use.form, tools, visible };
      const isBegun = (mark: string): boolean =>
        tokenizer.decode(prompt.slice(-LOOKED_AT), { skipSpecialTokens: false }).trimEnd().endsWith(mark);
      const reasoning = form && { form, isBegun: form.kind === 'tags' && isBegun(form.opening) };
      return calls || reasoning ? { calls, reasoning, visible } : undefined;
    },
  };
}

/** Returns a function that removes special tokens from a text. */
export function withoutSpecials(specialTexts: readonly string[]): (text: string) => string {
  // A token of whitespace has no pattern, and an empty pattern would match before the others.
  const patterns = specialTexts.map(markPattern).filter(pattern => pattern !== '');
  if (patterns.length === 0) return text => text;
  const special = new RegExp(patterns.join('|'), 'gu');
  return text => text.replaceAll(special, '');
}

/** Passes an answer on, part by part, while it is being written. */
export class AnswerParts {
  private readonly reading: AnswerReading | undefined;
  private readonly reasoningStream: ReasoningStream | undefined;
  private readonly calls: ToolCallStream | undefined;
  private readonly onText: (text: string, part: AnswerPart) => void;
  private readonly texts: Record<AnswerPart, string> = { reasoning: '', answer: '' };

  /** @param reading if undefined, everything is passed on as the answer */
  constructor(reading: AnswerReading | undefined, onText: (text: string, part: AnswerPart) => void) {
    this.reading = reading;
    this.onText = onText;
    const { reasoning, calls } = reading ?? {};
    this.calls = calls && new ToolCallStream(calls);
    this.reasoningStream = reasoning && new ReasoningStream({ ...reasoning, callMark: calls?.form.opening });
  }

  /** The text of the answer, without calls. */
  get answer(): string {
    return this.texts.answer;
  }

  get reasoning(): string {
    return this.texts.reasoning;
  }

  push(chunk: string): void {
    const parts: readonly PartOfText[] = this.reasoningStream?.push(chunk) ?? [{ text: chunk, part: 'answer' }];
    for (const { text, part } of parts) this.pass(text, part);
  }

  /**
   * @param isWhole true if the model itself ended the answer
   * @returns the tool calls in it
   */
  end(isWhole: boolean): readonly ToolCall[] {
    for (const { text, part } of this.reasoningStream?.end() ?? []) this.pass(text, part);
    // A model tuned to answer directly may do so although its template has already begun the reasoning.
    if (isWhole && this.reading?.reasoning?.isBegun && this.reasoningStream?.isReasoning) {
      const { reasoning } = this.texts;
      this.texts.reasoning = '';
      this.pass(reasoning, 'answer');
    }
    if (!this.calls) return [];
    const { text, calls } = this.calls.end();
    this.say(text, 'answer');
    return calls;
  }

  private pass(text: string, part: AnswerPart): void {
    if (part === 'answer' && this.calls) this.say(this.calls.push(text), part);
    else this.say(this.reading ? this.reading.visible(text) : text, part);
  }

  private say(text: string, part: AnswerPart): void {
    this.texts[part] += text;
    if (text !== '') this.onText(text, part);
  }
}

/** Returns the answer in a text that a model wrote, given with special tokens. */
export function answerIn(text: string, reading: AnswerReading | undefined): string {
  const parts = new AnswerParts(reading, () => undefined);
  parts.push(text);
  parts.end(true);
  return parts.answer;
}
