/** Tests mistakes on the command line: each message says what to type instead. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { agentTools } from '../../../trainer/catalog/agent-tools.ts';
import { examplesOf } from '../../../trainer/cli/command.ts';
import { requireNoRuns } from '../../../trainer/cli/model-and-adapter.ts';
import { declareProgram } from '../../../trainer/cli/program.ts';
import { diagnosticOf } from '../../../trainer/lint/diagnostics/diagnostics.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { stringifyRecipe } from '../../../trainer/protocol/recipe/stringify-recipe.ts';
import { resolveSettings } from '../../../trainer/settings.ts';
import { makeTemporaryFolder } from '../../support/machine/temporary-folder.ts';

const settings = resolveSettings({ env: {}, platform: 'linux', home: '/nowhere' });

/** Returns the text on stderr of a command that is rejected. */
async function errorOf(...words: readonly string[]): Promise<string> {
  const program = await declareProgram({ settings, cwd: '/nowhere' }, words[0]);
  let said = '';
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({
      writeErr: text => {
        said += text;
      },
    });
  expect(() => program.parse([...words], { from: 'user' })).toThrow();
  return said;
}

test.each([
  [['train', 'a.yaml', '--max-steps', '3'], 'To set it, write max_steps=VALUE without dashes'],
  [['generate', 'runs/a', '--max-tokens', '3'], 'Did you mean --max-new-tokens?'],
  [['export', 'runs/a', '--outptu', 'b'], 'Did you mean --output?'],
])('%j', async (words, hint) =>
  expect((await errorOf(...words)).split('\n')).toEqual([
    expect.stringMatching(/unknown option/),
    `(${hint})`,
    '(--help shows the usage)',
    '',
  ]),
);

test.each([
  [['trian', '--help'], 'trian', 'train'],
  [['help', 'trian'], 'trian', 'train'],
  [['engine', 'instal', '-h'], 'instal', 'install'],
])('%j is no command, also where help is asked for', async (words, word, near) =>
  expect(await errorOf(...words)).toBe(`error: unknown command '${word}'\n(Did you mean ${near}?)\n(--help shows the usage)\n`),
);

test('codes in the help of explain exist', async () => {
  const { commands } = await declareProgram({ settings, cwd: '/nowhere' }, 'explain');
  const texts = commands.flatMap(command => [...examplesOf(command), ...command.registeredArguments.map(({ description }) => description)]);
  const codes = [...texts, agentTools.explain_diagnostic.parameters.code.description].flatMap(
    text => text.match(/[a-z]+(?:-[a-z]+)+/g) ?? [],
  );
  expect(codes.length).toBeGreaterThan(2);
  for (const code of codes) expect(diagnosticOf(code), code).toBeDefined();
});

const folder = makeTemporaryFolder();
beforeAll(() => {
  const { recipe } = parseRecipe('model: m\ndata: { train: a.jsonl }\n');
  if (!recipe) throw new Error('no recipe');
  mkdirSync(path.join(folder, 'runs/spam'), { recursive: true });
  writeFileSync(path.join(folder, 'runs/spam/recipe.yaml'), stringifyRecipe(recipe));
});

test.each([
  ['runs/spma', 'there is no run at runs/spma'],
  ['runs', 'runs is a folder of runs, not a run'],
])('%s names the runs that are there', async (name, message) => {
  const hint = 'The runs there are runs/spam.';
  await expect(requireNoRuns(path.join(folder, name), name)).rejects.toMatchObject({ message, hint });
});
