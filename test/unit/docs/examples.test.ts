/**
 * Tests that recipes, data and commands in the docs are real: recipes lint clean, data parses, and every command, option and setting
 * exists.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { declareProgram } from '../../../trainer/cli/program.ts';
import { formatProblems } from '../../../trainer/protocol/problem.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { settings as recipeSettings } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { resolveSettings } from '../../../trainer/settings.ts';

const root = path.join(import.meta.dirname, '..', '..', '..');
const folders = ['docs/tutorials', 'docs/how-to', 'docs/explanation'];
const pages = [
  'README.md',
  'client/README.md',
  ...folders.flatMap(folder => readdirSync(path.join(root, folder)).map(name => `${folder}/${name}`)),
];

interface Block {
  readonly page: string;
  readonly language: string;
  readonly text: string;
}

const blocks = pages.flatMap((page): Block[] =>
  [...readFileSync(path.join(root, page), 'utf8').matchAll(/^( *)```(\w+)\n([\s\S]*?)^ *```$/gm)].map(
    ([, indent = '', language = '', text = '']) => ({
      page,
      language,
      text: text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    }),
  ),
);
const blocksOf = (language: string): Block[] => blocks.filter(block => block.language === language);

/** Settings that a fragment leaves to the reader. */
const BASE = ['model: m', 'data: {train: a.jsonl}'] as const;
const completed = (text: string): string =>
  [...BASE.filter(line => !new RegExp(`^${line.split(':')[0]}:`, 'm').test(text)), text].join('\n');

describe('recipes', () => {
  test.each(blocksOf('yaml').map(({ page, text }, index) => ({ page, text, index })))('$page, block $index', ({ page, text }) => {
    const whole = completed(text);
    const { problems, recipe } = parseRecipe(whole, { fileName: page });
    expect(formatProblems(problems, page, whole)).toBe('');
    expect(recipe).toBeDefined();
  });

  test('the pages have recipes', () => expect(blocksOf('yaml').length).toBeGreaterThan(15));
});

test('data is JSON', () => {
  // An indented line continues the previous sample.
  const samples = blocksOf('json').flatMap(({ text }) => text.trim().split(/\n(?=\S)/));
  expect(samples.length).toBeGreaterThan(5);
  for (const sample of samples) expect(() => JSON.parse(sample)).not.toThrow();
});

/** Splits a line into words. Quotes keep words together; what follows a redirection or a comment belongs to the shell. */
const words = (line: string): string[] =>
  [...line.replace(/\s+(#|[<>|&]).*$/, '').matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');

/** The arguments of each rowtune call, in shell blocks and in sentences. */
const calls = blocksOf('sh')
  .concat(blocksOf('text'))
  .flatMap(({ page, text }) =>
    text
      .replaceAll('\\\n', ' ')
      .split('\n')
      .flatMap(line => line.split('&&'))
      .flatMap(line => {
        const [first, second, ...rest] = words(line.trim());
        if (first === 'rowtune' && second !== undefined) return [{ page, line: line.trim(), args: [second, ...rest] }];
        return first === 'npx' && second === 'rowtune' ? [{ page, line: line.trim(), args: rest }] : [];
      }),
  );

function commandOf(program: Command, args: readonly string[]): { command: Command; rest: readonly string[] } | undefined {
  const [name, ...rest] = args;
  const command = program.commands.find(child => child.name() === name);
  if (command === undefined) return undefined;
  return command.commands.length > 0 ? commandOf(command, rest) : { command, rest };
}

describe('commands', async () => {
  const program = await declareProgram({ settings: resolveSettings({ env: {}, platform: 'linux', home: '/' }), cwd: '/' });

  test.each(calls)('$page: $line', ({ args }) => {
    const found = commandOf(program, args);
    expect(found).toBeDefined();
    if (found === undefined) return;
    const { operands, unknown } = found.command.parseOptions([...found.rest]);
    expect(unknown).toEqual([]);
    const required = found.command.registeredArguments.filter(argument => argument.required).length;
    expect(operands.length).toBeGreaterThanOrEqual(required);
    const keys = operands.slice(required).flatMap(operand => /^([\w.]+)=/.exec(operand)?.[1] ?? []);
    expect(keys.filter(key => !Object.hasOwn(recipeSettings, key))).toEqual([]);
  });

  test('the pages have commands', () => expect(calls.length).toBeGreaterThan(40));
});
