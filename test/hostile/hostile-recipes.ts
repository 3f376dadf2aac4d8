/** Recipes made to stop the process that reads them. Small ones are in corpus/hostile-recipes; these are large and generated here. */

const many = (count: number, line: (i: number) => string): string => Array.from({ length: count }, (_, i) => line(i)).join('');

const HEAD = 'model: ./model\nr: 8\ndata: {train: train.jsonl}\n';

export const largeRecipes: Readonly<Record<string, string>> = {
  '80,000 brackets': `${HEAD}target_modules: ${'['.repeat(80_000)}`,
  '80,000 brackets, closed': `${HEAD}target_modules: ${'['.repeat(80_000)}${']'.repeat(80_000)}\n`,
  '20,000 braces': `${HEAD}importance: ${'{a: '.repeat(20_000)}1${'}'.repeat(20_000)}\n`,
  '80,000 dashes': `${HEAD}target_modules:\n  ${'- '.repeat(80_000)}x\n`,
  '20,000 question marks': `${'? '.repeat(20_000)}x\n`,
  '2,000 levels by indentation': `${HEAD}${many(1000, i => `${' '.repeat(i)}a:\n`)}`,
  'a billion laughs': many(30, i => (i === 0 ? 'a0: &a0 [x, x]\n' : `a${i}: &a${i} [*a${i - 1}, *a${i - 1}, *a${i - 1}, *a${i - 1}]\n`)),
  'anchors in a circle': 'model: &a [*a]\nr: *a\n',
  '50,000 anchors': many(50_000, i => `k${i}: &a${i} x\n`).slice(0, 900_000),
  '30,000 numbers beyond all bounds': `${HEAD}${many(30_000, i => `x${i}: 1e5555\n`)}`,
  '30,000 unknown keys': `${HEAD}${many(30_000, i => `learning_rat${i}: 1\n`)}`,
  '20,000 equal keys': many(20_000, () => 'model: x\n'),
  'a line of a million characters': `model: ${'x'.repeat(1_000_000)}\n`,
  'a quote that never ends': `model: "${'x\\n'.repeat(200_000)}`,
  'a million spaces': `model:${' '.repeat(1_000_000)}x\n`,
  'a million line ends': `${'\n'.repeat(1_000_000)}model: x\n`,
  '500,000 carriage returns': `${'\r'.repeat(500_000)}model: x\n`,
  'a million comments': '#\n'.repeat(500_000),
  '10,000 documents': '---\nmodel: x\n'.repeat(10_000),
  '5,000 merge keys': `b: &b {x: 1}\n${many(5000, i => `m${i}: {<<: *b}\n`)}`,
  'a block of a million characters': `model: |\n${'  x\n'.repeat(250_000)}`,
  'JSON, 80,000 brackets': `{"model": ${'['.repeat(80_000)}`,
  'tags without end': `${'!!str '.repeat(50_000)}x\n`,
  'a long list of modules': `${HEAD}target_modules: [${many(50_000, i => `m${i}, `)}]\n`,
};
