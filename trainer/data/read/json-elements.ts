/** Finds the elements of a list in a JSON text that is read block by block, with line numbers, so that an error can name the sample. */

export interface JsonElement {
  /** The line of its first character, from 1. */
  readonly line: number;
  readonly text: string;
}

/** A text in blocks, which may end anywhere. */
export type TextBlocks = AsyncIterable<string>;

/** Thrown for a single element above the bound, or a file with neither of the two layouts. */
export class JsonLayoutError extends Error {
  override name = 'JsonLayoutError';
  readonly kind: 'element' | 'layout';
  readonly line: number;

  constructor(kind: JsonLayoutError['kind'], line: number) {
    super(kind === 'element' ? 'an element that is too large' : 'no list of elements');
    this.kind = kind;
    this.line = line;
  }
}

/**
 * Maximum length of an element in characters. Samples are far shorter, and a file that never closes its brackets must not fill the memory.
 */
export const MAX_ELEMENT_CHARACTERS = 64 * 2 ** 20;

const SPACE = /[ \t\r\n\uFEFF]/;

/** True if a text consists of several values, which is JSON Lines under another name. Holds at most one block. */
export async function holdsSeveralValues(blocks: TextBlocks): Promise<boolean> {
  const text = new TextReader(blocks);
  try {
    if ((await text.peek()) !== '{') return false;
    await text.skipValue();
    return (await text.peek()) !== undefined;
  } finally {
    await text.close();
  }
}

/**
 * The elements of a list, or of the list under the key `data`. Malformed JSON gives pieces that JSON.parse refuses, never an endless loop.
 * @throws JsonLayoutError if there is no such list, or an element is too large
 */
export async function* jsonElements(blocks: TextBlocks): AsyncGenerator<JsonElement> {
  const text = new TextReader(blocks);
  try {
    const opening = await text.peek();
    if (opening === '{') await enterData(text);
    else if (opening !== '[') throw new JsonLayoutError('layout', 1);
    text.take();
    yield* elementsOf(text);
  } finally {
    await text.close();
  }
}

async function* elementsOf(text: TextReader): AsyncGenerator<JsonElement> {
  if ((await text.peek()) === ']') return;
  while (true) {
    await text.peek();
    const { line } = text;
    const value = await text.value();
    const separator = await text.peek();
    // Anything in place of a comma or the closing bracket is appended, so that parsing the element fails.
    yield { line, text: separator === ',' || separator === ']' ? value : `${value} ${separator ?? ''}` };
    if (separator !== ',') {
      if (separator !== ']') yield { line: text.line, text: '' };
      return;
    }
    text.take();
  }
}

/** Advances to the opening bracket of the list under the key `data`. */
async function enterData(text: TextReader): Promise<void> {
  text.take();
  while ((await text.peek()) === '"') {
    const key = await text.value();
    if ((await text.peek()) !== ':') break;
    text.take();
    const opening = await text.peek();
    if (key === '"data"') {
      if (opening === '[') return;
      break;
    }
    await text.skipValue();
    if ((await text.peek()) !== ',') break;
    text.take();
  }
  throw new JsonLayoutError('layout', 1);
}

class TextReader {
  private readonly blocks: AsyncIterator<string>;
  private text = '';
  private at = 0;
  /** The line of the next character, from 1. */
  line = 1;

  constructor(blocks: TextBlocks) {
    this.blocks = blocks[Symbol.asyncIterator]();
  }

  /** The next character that is not white space; undefined at the end. */
  async peek(): Promise<string | undefined> {
    while (true) {
      for (; this.at < this.text.length; this.at++) {
        const next = this.text.charAt(this.at);
        if (!SPACE.test(next)) return next;
        if (next === '\n') this.line++;
      }
      if (!(await this.more(this.at))) return undefined;
    }
  }

  /** Consumes the character that `peek` returned. */
  take(): void {
    this.at++;
  }

  /** Stops reading the text. */
  async close(): Promise<void> {
    await this.blocks.return?.();
  }

  /** The text of the value that begins here, or up to the end of the text if the value is not closed. @throws JsonLayoutError */
  async value(): Promise<string> {
    const { line } = this;
    let value = '';
    for await (const piece of this.pieces()) {
      value += piece;
      if (value.length > MAX_ELEMENT_CHARACTERS) throw new JsonLayoutError('element', line);
    }
    return value;
  }

  async skipValue(): Promise<void> {
    for await (const _ of this.pieces());
  }

  /** The value that begins here, one piece per block. */
  private async *pieces(): AsyncGenerator<string> {
    const kind = this.text[this.at];
    const scan = kind === '"' || kind === '{' || kind === '[' ? new NestedScan() : new ScalarScan();
    do {
      const end = scan.end(this.text, this.at);
      const piece = this.text.slice(this.at, end);
      for (let newline = piece.indexOf('\n'); newline >= 0; newline = piece.indexOf('\n', newline + 1)) this.line++;
      this.at = end;
      yield piece;
      if (scan.isOver) return;
    } while (await this.more(this.at));
  }

  /** Appends another block to the characters from `from`; false at the end of the text. */
  private async more(from: number): Promise<boolean> {
    const next = await this.blocks.next();
    if (next.done === true) return false;
    this.text = this.text.slice(from) + next.value;
    this.at = 0;
    return true;
  }
}

interface Scan {
  readonly isOver: boolean;
  /** The end of the value in this block, or the end of the block. */
  end(text: string, from: number): number;
}

/** Scans a number or a word, up to the first character that cannot belong to it. */
class ScalarScan implements Scan {
  isOver = false;

  end(text: string, from: number): number {
    const stop = /[,\]}\s]/g;
    stop.lastIndex = from;
    const found = stop.exec(text);
    this.isOver = found !== null;
    return found?.index ?? text.length;
  }
}

/** Scans a string, a list or an object, up to its closing character. */
class NestedScan implements Scan {
  isOver = false;
  private depth = 0;
  private inString = false;
  private isEscaped = false;

  end(text: string, from: number): number {
    let at = from;
    if (this.isEscaped && at < text.length) {
      this.isEscaped = false;
      at++;
    }
    const brackets = /["{}[\]]/g;
    const stringEnds = /["\\]/g;
    while (true) {
      const pattern = this.inString ? stringEnds : brackets;
      pattern.lastIndex = at;
      const found = pattern.exec(text);
      if (found === null) return text.length;
      at = found.index + 1;
      this.read(found[0]);
      if (this.isOver) return at;
      if (!this.isEscaped) continue;
      if (at >= text.length) return text.length;
      this.isEscaped = false;
      at++;
    }
  }

  private read(character: string): void {
    if (character === '\\') this.isEscaped = true;
    else if (character === '"') {
      this.inString = !this.inString;
      this.isOver = !this.inString && this.depth === 0;
    } else if (character === '{' || character === '[') this.depth++;
    else this.isOver = --this.depth <= 0;
  }
}
