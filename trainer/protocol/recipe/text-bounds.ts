/**
 * Bounds on a YAML text, checked before parsing: the parser is recursive, and a stack overflow would abort the process.
 */
import { Lexer } from 'yaml';

/** Maximum nesting: more than any recipe or config has, and a hundredth of the parser's limit. */
const MAX_NESTING = 64;
/** Maximum number of words, signs, spaces and line ends: enough for thousands of label names. Parsing this many takes half a second. */
const MAX_TOKENS = 40_000;

export interface Excess {
  readonly offset: number;
  readonly message: string;
}

/**
 * The position where the text nests too deeply or has too many tokens; undefined if it does neither. Takes linear time. A block level is
 * counted at the start of each nested block, so a level may count twice, but none is missed.
 */
export function excessOf(text: string): Excess | undefined {
  /** Start columns of the open blocks, from left to right. */
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
    if (blocks.length + flow > MAX_NESTING) return { offset, message: `nested deeper than ${MAX_NESTING} levels` };
    if (++tokens > MAX_TOKENS) return { offset, message: `a recipe can have at most ${MAX_TOKENS} words and signs` };
    const lastLine = token.lastIndexOf('\n');
    if (lastLine >= 0) lineStart = offset + lastLine + 1;
    offset += token.length;
    isScalar = false;
  }
  return undefined;
}

/** The lexer's own markers, which are not part of the text. */
const [DOCUMENT, FLOW_END, SCALAR] = ['\x02', '\x18', '\x1f'];
