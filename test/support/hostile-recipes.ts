/** Recipes that exhausted or crashed their reader, and recipes of the same form. Generated here, because they are large. */

const page = 'model: m\ndata: {train: a.jsonl}\n';
const lines = (count: number, line: (i: number) => string): string => Array.from({ length: count }, (_, i) => line(i)).join('\n');
const foreign = 'base_model: m\nadapter: lora\nlora_r: 8\ndatasets: [{path: a, type: b}]\n';

export const hostileRecipes: Readonly<Record<string, string>> = {
  brackets: '['.repeat(80_000),
  'brackets of a key': `${page}a: ${'['.repeat(2000)}${']'.repeat(2000)}\n`,
  braces: '{a: '.repeat(60_000),
  dashes: '- '.repeat(80_000),
  'question marks': '? '.repeat(5000),
  indentation: lines(700, i => `${' '.repeat(i)}a:`),
  tags: '!!map '.repeat(40_000),
  anchors: '&a '.repeat(50_000),
  'numbers with exponents': `${page}target_modules: [${'1e5555, '.repeat(30_000)}]\n`,
  'fewer numbers with exponents': `${page}target_modules: [${'1e5555, '.repeat(3000)}]\n`,
  'unknown keys': page + lines(3000, i => `k${i}: 1`),
  'the same key': page + 'seed: 1\n'.repeat(3000),
  'comments that ignore nothing':
    page + lines(4000, i => (i === 0 ? 'lr: 1' : `# rowtune-ignore code-${i}, ${'unknown-key, '.repeat(3)}x: why`)),
  'a comment with many codes': `${page}lr: 1 # rowtune-ignore ${'unknwn-key, '.repeat(20_000)}x: why`,
  'a comment with a long code': `${page}lr: 1 # rowtune-ignore ${'unknown-key'.repeat(20_000)}: why`,
  'keys to move': page + lines(3000, i => `train: x${i}`),
  'keys to rename': page + lines(3000, i => `lr: ${i}`),
  commas: `a: [${','.repeat(10_000)}]`,
  'doubling aliases': page + lines(40, i => `k${i}: &a${i} ${i === 0 ? '[1]' : `[*a${i - 1}, *a${i - 1}]`}`),
  'doubling aliases of another tool': foreign + lines(40, i => `k${i}: &a${i} ${i === 0 ? '[1]' : `[*a${i - 1}, *a${i - 1}]`}`),
  references: `${foreign}a: "${'$'}{b}"\n${lines(3, i => `${'abcd'[i]}${i}: "${`\${${'abcd'[i + 1]}${i + 1}}`.repeat(9000)}"`)}\nd3: "${'x'.repeat(90_000)}"\n`,
  'expressions by backtracking': `${page}target_modules: ["/^(([a-z._0-9]+)+)+X$/"]\nname: ../x\n`,
  'a long name': `${page}name: ${'é'.repeat(200_000)}`,
  'a long line': `${page}${'a'.repeat(240_000)}`,
  'empty lines': '\n'.repeat(250_000),
  quotes: '"'.repeat(200_000),
  colons: ':'.repeat(250_000),
};
