/** Bounds on a text of YAML, found before it is parsed: the parser calls itself for each level, and beyond its stack the process is aborted. */
import { Lexer } from 'yaml';

/** More than any recipe or config has, and a hundredth of what the parser's stack takes. */
const MAX_NESTING = 64;
/** Words, signs, spaces and line ends: those of thousands of label names. Parsing so many takes half a second. */
const MAX_TOKENS = 40_000;

export interface Excess {
  readonly offset: number;
  readonly message: string;
}

/**
 * Where the text nests too deeply or has too many parts; undefined where it does neither. Takes time linear in the text. A level of blocks is
 * counted for what begins behind the beginning of another block, so that a level may count twice, and none is missed.
 */
export function excessOf(text: string): Excess | undefined {
  /** Columns at which blocks begin that are open, from left to right. */
  const blocks: number[] = [];
  let flow = 0;
  let offset = 0;
  let lineStart = 0;
  let isScalar = false;
  let tokens = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === SCALAR || token === DOCUMENT || token === FLOW_END) {
      isScalar = token === SCALAR;
      if (token !== SCALAR) flow = 0;
      continue;
    }
    if (!isScalar && (token === '[' || token === '{')) flow++;
    else if (!isScalar && (token === ']' || token === '}')) flow = Math.max(0, flow - 1);
    else if (flow === 0 && (isScalar || (token.trim() !== '' && !token.startsWith('#')))) {
      const column = offset - lineStart;
      while ((blocks.at(-1) ?? -1) >= column) blocks.pop();
      blocks.push(column);
    }
    if (blocks.length + flow > MAX_NESTING) return { offset, message: `this nests deeper than ${MAX_NESTING} levels` };
    if (++tokens > MAX_TOKENS) return { offset, message: `a recipe has at most ${MAX_TOKENS} words and signs, this has more` };
    const lastLine = token.lastIndexOf('\n');
    if (lastLine >= 0) lineStart = offset + lastLine + 1;
    offset += token.length;
    isScalar = false;
  }
  return undefined;
}

/** The lexer's own marks, which are no part of the text. */
const [DOCUMENT, FLOW_END, SCALAR] = ['\x02', '\x18', '\x1f'];
