/** Checks the prose of comments, string literals and Markdown against prose-rules.json. Run by `npm run check`. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { paragraphsOf, proseOfCode } from './prose-pieces.mjs';

const root = path.dirname(import.meta.dirname);
const { rules, exempt } = JSON.parse(readFileSync(path.join(root, 'scripts', 'prose-rules.json'), 'utf8'));
const patterns = rules.map(rule => ({ ...rule, pattern: new RegExp(rule.pattern, 'i') }));
/** Maximum columns of a Markdown line, except tables, code and lines that are a single long link. */
const WIDTH = 100;

/**
 * Returns the findings of the rules in one file.
 * @param {string} file path, whose extension determines how the text is read
 * @param {string} text
 * @returns {{ line: number, text: string, rule: string, instead: string }[]}
 */
export function findings(file, text) {
  const isMarkdown = file.endsWith('.md');
  const pieces = isMarkdown ? paragraphsOf(text) : proseOfCode(text).filter(({ kind, text }) => kind === 'comment' || text.includes(' '));
  const found = pieces.flatMap(piece =>
    patterns.flatMap(({ name, pattern, instead }) => {
      const match = pattern.exec(piece.text);
      return match === null ? [] : [{ offset: piece.offset + match.index, text: match[0], rule: name, instead }];
    }),
  );
  const wide = isMarkdown ? pieces.filter(({ text, isTable }) => !isTable && [...text].length > WIDTH && /\s\S/.test(text.trim())) : [];
  for (const { offset } of wide)
    found.push({ offset, text: 'a long line', rule: `Markdown wraps at ${WIDTH} columns`, instead: 'break the line' });
  return found.map(({ offset, ...rest }) => ({ line: text.slice(0, offset).split('\n').length, ...rest }));
}

/** Returns the files with findings, among all tracked files. */
function inRepository() {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' }).split(
    '\n',
  );
  const files = listed.filter(
    file => /\.(ts|mjs|cc|h|css|md)$|^package\.json$/.test(file) && !exempt.some(start => file.startsWith(start)),
  );
  return new Map(
    files.flatMap(file => {
      const found = findings(file, read(file));
      return found.length === 0 ? [] : [[file, found]];
    }),
  );
}

/** Reads a file; git may list files that are deleted in the working tree. */
function read(file) {
  try {
    return readFileSync(path.join(root, file), 'utf8');
  } catch {
    return '';
  }
}

function main() {
  for (const [file, list] of inRepository()) {
    process.exitCode = 1;
    for (const { line, text, rule, instead } of list) console.log(`${file}:${line}: '${text}' — ${rule}; write ${instead}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
