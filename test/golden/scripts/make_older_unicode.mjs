/**
 * Writes trainer/format/tokenizer/tokenizers/older-unicode.ts from tokenizers/components.json.gz: where the Unicode tables in Hugging
 * Face's `tokenizers` are older than JavaScript's. Run it with the newest Node, whose Unicode contains every character that older versions
 * have.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const root = new URL('../../../', import.meta.url);
const { classes } = JSON.parse(gunzipSync(readFileSync(new URL('test/golden/tokenizers/components.json.gz', root))).toString('utf8'));
const every = Array.from({ length: 0x32400 }, (_, code) => code).filter(code => code < 0xd800 || code >= 0xe000);
const inside = (name, code) => classes[name].some(([from, to]) => from <= code && code <= to);
const changes = form => c => c.normalize(form) !== c;

function ranges(holds) {
  const found = [];
  for (const code of every.filter(holds)) {
    if (found.at(-1)?.[1] === code - 1) found.at(-1)[1] = code;
    else found.push([code, code]);
  }
  const hex = code => `\\u{${code.toString(16)}}`;
  return found.map(([from, to]) => (from === to ? hex(from) : `${hex(from)}-${hex(to)}`)).join('');
}
/** Returns the code points that JavaScript assigns to the class and the library does not. */
const newer = (name, isOne) => ranges(code => isOne(String.fromCodePoint(code)) && !inside(name, code));
const tables = {
  NEWER_PUNCTUATION: ['Punctuation that its tables do not have as such.', newer('punctuation', c => /[!-/:-@[-`{-~\p{P}]/u.test(c))],
  FORMER_PUNCTUATION: [
    'Formerly punctuation.',
    ranges(code => inside('punctuation', code) && !/[!-/:-@[-`{-~\p{P}]/u.test(String.fromCodePoint(code))),
  ],
  NEWER_MARKS: ['Combining marks.', newer('accents', c => /\p{M}/u.test(c))],
  FORMER_MARKS: ['Were combining marks.', ranges(code => inside('accents', code) && !/\p{M}/u.test(String.fromCodePoint(code)))],
  NEWER_NONSPACING: ['Nonspacing marks.', newer('bert_accents', c => /^\p{Mn}+$/u.test(c.normalize('NFD')))],
  FORMER_NONSPACING: [
    'Were nonspacing marks.',
    ranges(code => inside('bert_accents', code) && !/\p{Mn}/u.test(String.fromCodePoint(code).normalize('NFD'))),
  ],
  NEWER_CONTROLS: ['Control and format characters.', newer('bert_removed', c => /[\p{Cc}\p{Cf}\p{Co}\ufffd]/u.test(c) && !/[\t\n\r]/.test(c))],
  NEWER_COMPOSED: ['Characters with a canonical decomposition.', newer('nfd', changes('NFD'))],
  NEWER_COMPATIBLE: ['Characters with any decomposition.', newer('nfkd', changes('NFKD'))],
};
const lines = Object.entries(tables).map(([name, [doc, text]]) => `/** ${doc} */\nexport const ${name} =\n  '${text.replaceAll('\\', '\\\\')}';`);
const head = `/**
 * The differences where the Unicode tables inside Hugging Face's \`tokenizers\` are older than JavaScript's, as ranges for a class in a regular expression.
 * Written by test/golden/scripts/make_older_unicode.mjs.
 */

// biome-ignore-start format: one table, one line
`;
writeFileSync(new URL('trainer/format/tokenizer/tokenizers/older-unicode.ts', root), `${head}${lines.join('\n')}\n// biome-ignore-end format: one table, one line\n`);
