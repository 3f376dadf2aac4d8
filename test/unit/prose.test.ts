/** Tests the prose linter of `npm run check`: each rule finds its example and passes its counterexample. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { findings } from '../../scripts/prose.mjs';
import { readJson } from '../support/files/read-json.ts';

const ruleForm = z.object({ name: z.string(), finds: z.string(), passes: z.string() });
const { rules } = readJson(new URL('../../scripts/prose-rules.json', import.meta.url), z.object({ rules: z.array(ruleForm) }));

describe.each(rules)('$name', ({ name, finds, passes }) => {
  const comment = (text: string): string => (text.startsWith('/*') ? text : `// ${text}`);
  const isOfComments = finds.startsWith('/*');

  test('is found in a comment, a string and Markdown', () => {
    expect(findings('a.ts', `const x = 1;\n${comment(finds)}\n`)).toMatchObject([{ line: 2, rule: name }]);
    if (isOfComments) return;
    expect(findings('a.ts', `f('${finds}')`)).toMatchObject([{ line: 1, rule: name }]);
    expect(findings('a.ts', `f(\`\${g({ a: '}' })} and ${finds}\`)`)).toMatchObject([{ rule: name }]);
    expect(findings('a.md', finds)).toMatchObject([{ rule: name }]);
  });

  test('passes its counter-example', () => {
    expect(findings('a.ts', comment(passes))).toEqual([]);
    expect(findings('a.md', passes)).toEqual([]);
  });
});

test('names, regular expressions, code blocks and inline code are not prose', () => {
  expect(findings('a.ts', "const colour = x / y; // a / b\nif (/'|mended it/.test(colour)) f('quantise');")).toEqual([]);
  expect(findings('a.md', 'Write `beside` here.\n\n```\nIt mends nothing.\n```\n')).toEqual([]);
});

test('lines of Markdown have at most 100 columns, tables and single links apart', () => {
  const words = 'word '.repeat(21);
  expect(findings('a.md', `short\n${words}\n`)).toMatchObject([{ line: 2, rule: 'Markdown wraps at 100 columns' }]);
  expect(findings('a.md', `| ${words} |\nhttps://example.org/${'x'.repeat(100)}\n`)).toEqual([]);
});
