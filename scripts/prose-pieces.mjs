/** Finds the prose of a file: comments and string literals of code, and the text of Markdown. */

/**
 * Returns the lines of Markdown outside code, with their inline code and link targets blanked out.
 * @returns {{ text: string, offset: number, isTable: boolean }[]}
 */
export function paragraphsOf(markdown) {
  const found = [];
  let offset = 0;
  let isCode = false;
  for (const line of markdown.split('\n')) {
    if (/^\s*(```|~~~)/.test(line)) isCode = !isCode;
    else if (!isCode) {
      const text = line.replace(/`[^`]*`|\]\([^)]*\)/g, match => '·'.repeat(match.length));
      found.push({ text, offset, isTable: /^\s*\||^#|^\s*<|!\[/.test(line) });
    }
    offset += line.length + 1;
  }
  return found;
}

/** Matches code after which a regular expression may start, because an operand is expected. */
const BEFORE_PATTERN = /(?:^|[=(,:;!&|?{}[+*%<>~^-]|\breturn|\bcase|\btypeof|\bin|\bof|=>)\s*$/;
const TOKEN = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^'\\\n]|\\[\s\S])*'|"(?:[^"\\\n]|\\[\s\S])*"|`|[{}]|\/(?=[^/*\n])/g;
const PATTERN = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const TEMPLATE = /(?:[^`\\$]|\\[\s\S]|\$(?!\{))*/y;

/**
 * Returns the comments and string literals of TypeScript, JavaScript, C++ or CSS, in order. A template literal is one piece, in which each
 * expression becomes `${…}`.
 * @returns {{ kind: 'comment' | 'string', text: string, offset: number, end: number }[]}
 */
export function proseOfCode(code) {
  const found = [];
  const stack = [];
  let at = 0;
  const template = () => {
    const top = stack.at(-1);
    TEMPLATE.lastIndex = at;
    const [text] = TEMPLATE.exec(code) ?? [''];
    top.text += text;
    at += text.length;
    if (code[at] === '`' || at >= code.length) {
      at++;
      stack.pop();
      found.push({ kind: 'string', text: top.text, offset: top.offset, end: at });
    } else {
      at += 2;
      top.text += '\u0024{…}';
      stack.push({ isBlock: true, ends: true });
    }
  };
  while (at < code.length) {
    if (stack.at(-1)?.isTemplate) {
      template();
      continue;
    }
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(code);
    if (match === null) break;
    const [token] = match;
    at = match.index;
    if (token.startsWith('//') || token.startsWith('/*')) {
      found.push({ kind: 'comment', text: token, offset: at, end: at + token.length });
      at += token.length;
    } else if (token === '/') {
      PATTERN.lastIndex = at;
      const pattern = BEFORE_PATTERN.test(code.slice(Math.max(0, at - 40), at)) ? PATTERN.exec(code) : null;
      at += pattern === null ? 1 : pattern[0].length;
    } else if (token === '`') {
      stack.push({ isTemplate: true, text: '', offset: at });
      at++;
    } else if (token === '{' || token === '}') {
      at++;
      if (token === '{') stack.push({ isBlock: true });
      else if (stack.at(-1)?.isBlock) stack.pop();
    } else {
      found.push({ kind: 'string', text: token.slice(1, -1), offset: at, end: at + token.length });
      at += token.length;
    }
  }
  return found.sort((a, b) => a.offset - b.offset);
}
