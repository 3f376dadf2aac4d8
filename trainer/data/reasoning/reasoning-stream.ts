/** Separates the reasoning in streamed text of a model from its answer, piece by piece. */
import { commonStart, overlap } from '../tool-calls/marks.ts';
import type { HeadForm, ReasoningForm } from './reasoning-form.ts';

export type AnswerPart = 'reasoning' | 'answer';

export interface PartOfText {
  readonly part: AnswerPart;
  readonly text: string;
}

export interface ReasoningStreamParams {
  readonly form: ReasoningForm;
  /** Whether the prompt ends within the reasoning. */
  readonly isBegun: boolean;
  /** The mark of a message that is a tool call; text from there on is passed through unchanged. */
  readonly callMark?: string | undefined;
}

type Say = (part: AnswerPart, text: string) => void;

/** Separates two messages of the same part. */
const BREAK = '\n\n';
/** Maximum length of a header; longer text is not one. */
const MAX_HEAD = 200;

export class ReasoningStream {
  private readonly form: ReasoningForm;
  private readonly callMark: string | undefined;
  private state: 'head' | AnswerPart;
  /** Text that was not passed on yet. */
  private held = '';
  /** Parts that have text. */
  private readonly said = new Set<AnswerPart>();
  /** Whether the current part has not begun; white space at its beginning is dropped. */
  private isAtStart: boolean;

  constructor({ form, isBegun, callMark }: ReasoningStreamParams) {
    this.form = form;
    this.callMark = callMark;
    this.state = isBegun && form.kind === 'tags' ? 'reasoning' : 'head';
    this.isAtStart = this.state === 'reasoning';
  }

  /** True if all text so far is reasoning. */
  get isReasoning(): boolean {
    return this.state === 'reasoning' && !this.said.has('answer');
  }

  /** Returns the text that is certain to belong to a part. */
  push(piece: string): PartOfText[] {
    this.held += piece;
    return this.advance(false);
  }

  /** Returns the text that was held back; no more text follows. */
  end(): PartOfText[] {
    return this.advance(true);
  }

  private advance(isEnd: boolean): PartOfText[] {
    const found: PartOfText[] = [];
    const say: Say = (part, text) => {
      if (text !== '') found.push({ part, text });
      if (text !== '') this.said.add(part);
    };
    while (this.state === 'head' ? this.readHead(isEnd, say) : this.readPart(this.state, isEnd, say)) {}
    return found;
  }

  /** Reads the header of the next message. @returns whether a part has begun */
  private readHead(isEnd: boolean, say: Say): boolean {
    const text = this.held.trimStart();
    if (text !== '' && this.takeHead(text, say)) return true;
    const mayFollow =
      text === '' || (text.length <= MAX_HEAD && this.starts().some(start => start.startsWith(text) || text.startsWith(start)));
    if (this.held === '' || (mayFollow && !isEnd)) return false;
    return this.begin('answer', this.held, say);
  }

  /** The beginnings of possible headers. */
  private starts(): string[] {
    const form = this.form;
    if (form.kind === 'tags') return [form.opening];
    const shared = form.answer.slice(0, commonStart(form.reasoning, form.answer));
    return [shared, this.callMark ?? ''].filter(start => start !== '');
  }

  private takeHead(text: string, say: Say): boolean {
    const form = this.form;
    if (form.kind === 'tags') return text.startsWith(form.opening) && this.begin('reasoning', text.slice(form.opening.length), say);
    const end = headLength(text, form);
    if (end === undefined) return false;
    const [head, rest] = [text.slice(0, end), text.slice(end)];
    const call = this.callMark === undefined ? -1 : head.indexOf(this.callMark);
    if (call < 0) return this.begin(head === form.reasoning ? 'reasoning' : 'answer', rest, say);
    this.state = 'answer';
    this.isAtStart = false;
    say('answer', head.slice(call));
    this.held = rest;
    return true;
  }

  private begin(part: AnswerPart, rest: string, say: Say): true {
    if (this.form.kind === 'heads' && this.said.has(part)) say(part, BREAK);
    this.isAtStart = rest !== this.held;
    this.state = part;
    this.held = rest;
    return true;
  }

  /** Passes on text up to the end of the part. @returns whether the part has ended */
  private readPart(part: AnswerPart, isEnd: boolean, say: Say): boolean {
    if (this.isAtStart) this.held = this.held.trimStart();
    if (this.held === '') return false;
    this.isAtStart = false;
    const form = this.form;
    const mark = form.kind === 'heads' ? form.between : part === 'reasoning' ? form.closing : undefined;
    const at = mark === undefined ? -1 : this.held.indexOf(mark);
    const trimmed = (text: string): string => (part === 'reasoning' ? text.trimEnd() : text);
    if (mark !== undefined && at >= 0) {
      say(part, trimmed(this.held.slice(0, at)));
      const rest = this.held.slice(at + mark.length);
      if (form.kind === 'tags') return this.begin('answer', rest, say);
      this.state = 'head';
      this.held = rest;
      return true;
    }
    const kept = isEnd || mark === undefined ? 0 : overlap(this.held, mark);
    const certain = trimmed(this.held.slice(0, this.held.length - kept));
    say(part, certain);
    this.held = isEnd ? '' : this.held.slice(certain.length);
    return false;
  }
}

function headLength(text: string, { headEnd }: HeadForm): number | undefined {
  const at = text.indexOf(headEnd);
  return at < 0 || at > MAX_HEAD ? undefined : at + headEnd.length;
}
