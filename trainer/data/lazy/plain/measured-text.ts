/** Properties of a text that are cheaper to compute than creating or tokenizing it. */
import type { TextBounds } from '../decide/text-bounds.ts';
import type { JsonTape } from './json-tape.ts';

export interface MeasuredText {
  /** Length in UTF-8 bytes. */
  readonly bytes: number;
  /** Whether the text is certain to have a token. */
  readonly hasToken: boolean;
  /** Whether the text has marks that templates look for. */
  readonly hasMarks: boolean;
  /** A lower bound on how far its words fall below the maximum number of tokens of their bytes; may stop once `wanted` is reached. */
  saved(wanted: number): number;
  text(): string;
}

/**
 * Marks that templates look for: of reasoning (the second one also matches its end), and words that turn it on or off. Each begins with a
 * rare character.
 */
export const MARKS: readonly string[] = ['<think', '/think', '/no_think'];

/** True if a text has such marks. */
export const hasMarks = (text: string): boolean => text.includes('think') && MARKS.some(mark => text.includes(mark));

export class WholeText implements MeasuredText {
  private readonly value: string;
  private readonly bounds: TextBounds;

  constructor(value: string, bounds: TextBounds) {
    this.value = value;
    this.bounds = bounds;
  }

  get bytes(): number {
    return Buffer.byteLength(this.value);
  }

  get hasToken(): boolean {
    return this.bounds.hasToken(this.value);
  }

  get hasMarks(): boolean {
    return hasMarks(this.value);
  }

  /** Returns 0: the prompt is measured as a whole. */
  saved(): number {
    return 0;
  }

  text(): string {
    return this.value;
  }
}

/** A text of a record whose texts have no marks; it begins with a visible character. */
export class TapeText implements MeasuredText {
  private readonly tape: JsonTape;
  private readonly entry: number;
  private readonly bounds: TextBounds;
  readonly bytes: number;
  readonly hasMarks = false;

  constructor(tape: JsonTape, entry: number, bounds: TextBounds) {
    this.tape = tape;
    this.entry = entry;
    this.bounds = bounds;
    this.bytes = tape.byteLength(entry);
  }

  get hasToken(): boolean {
    return this.bounds.beginsToken(this.tape.firstByte(this.entry));
  }

  saved(wanted: number): number {
    const { tape, entry } = this;
    return this.bounds.savedWithin(tape.source, tape.place(entry), wanted);
  }

  text(): string {
    return this.tape.text(this.entry);
  }
}

/** Two texts with a blank line between them. */
export class JoinedText implements MeasuredText {
  private readonly first: MeasuredText;
  private readonly second: MeasuredText;
  readonly bytes: number;
  readonly hasMarks = false;

  constructor(first: TapeText, second: TapeText) {
    this.first = first;
    this.second = second;
    this.bytes = first.bytes + 2 + second.bytes;
  }

  get hasToken(): boolean {
    return this.first.hasToken;
  }

  saved(wanted: number): number {
    const saved = this.first.saved(wanted);
    return saved >= wanted ? saved : saved + this.second.saved(wanted - saved);
  }

  text(): string {
    return `${this.first.text()}\n\n${this.second.text()}`;
  }
}
