/** Tests `rowtune lint` and what all commands have in common: exit statuses, positions, JSON. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { stringifyRecipe } from '../../../trainer/protocol/recipe/stringify-recipe.ts';
import { recipeIn } from '../../support/runs/recipe-of.ts';
import { cli, cliJson, withFolder } from './run-cli.ts';

const BAD = 'model: m\nlearning_rat: 1.0e-4\ndata:\n  train: d.jsonl\nr: many\n';

const withRecipe = <T>(text: string, use: (file: string, folder: string) => Promise<T>): Promise<T> =>
  withFolder(async folder => {
    const file = path.join(folder, 'a.rowtune.yaml');
    await writeFile(file, text);
    return use(file, folder);
  });

describe('lint', () => {
  test('examples have no problems except their missing data', async () => {
    const { status, value } = await cliJson(['lint', 'examples/spam.rowtune.yaml', 'examples/lora.rowtune.yaml']);
    // The data of the examples must come from the reader.
    expect(status).toBe(2);
    const isMissing = { code: 'data-not-found' };
    // Whether the models are downloaded depends on this machine.
    const others = z
      .object({ files: z.array(z.object({ file: z.string(), problems: z.array(z.looseObject({ code: z.string() })) })) })
      .parse(value);
    for (const file of others.files) file.problems = file.problems.filter(({ code }) => code !== 'not-downloaded');
    expect({ ...value, ...others }).toMatchObject({
      ok: false,
      files: [
        { file: 'examples/spam.rowtune.yaml', problems: [isMissing, isMissing] },
        { file: 'examples/lora.rowtune.yaml', problems: [isMissing] },
      ],
    });
  });

  test('every problem with line and column', () =>
    withRecipe(BAD, async file => {
      const { status, stdout } = await cli(['lint', file]);
      expect(status).toBe(2);
      expect(stdout).toContain(`${file}:2:1 error unknown-key`);
      expect(stdout).toContain('learning_rate');
      expect(stdout).toContain(`${file}:5:4 error`);
    }));

  test('as JSON', () =>
    withRecipe(BAD, async file => {
      const { status, value } = await cliJson(['lint', file]);
      expect(status).toBe(2);
      expect(value).toMatchObject({
        ok: false,
        files: [
          {
            problems: [
              { code: 'not-downloaded', line: 1, column: 8 },
              { code: 'unknown-key', line: 2, column: 1 },
              { code: 'data-not-found', line: 4, column: 10 },
              { line: 5, column: 4 },
            ],
          },
        ],
      });
    }));

  test.each([
    ['a.csv', /a\.csv is data, not a recipe\nTo write a recipe for it: rowtune init a\.csv --model/],
    ['a.jsonl', /a\.jsonl is data, not a recipe\n/],
    ['folder', /folder is a folder, not a recipe\nTo write a recipe for the data in it: rowtune init folder --model/],
    [
      'model',
      /model is the folder of a model, not a recipe\nTo write a recipe that tunes it: rowtune init DATA --model model\nTo check its config: rowtune lint model\/config\.json/,
    ],
  ])('data or a model in the place of a recipe, with the command that writes one: %s', (name, message) =>
    withFolder(async cwd => {
      if (name.includes('.')) await writeFile(path.join(cwd, name), 'text\na\n');
      else await mkdir(path.join(cwd, name));
      if (name === 'model') await writeFile(path.join(cwd, name, 'config.json'), '{}');
      for (const command of ['lint', 'train', 'data']) {
        const { status, stderr } = await cli([command, name], { cwd });
        expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
      }
    }),
  );

  test.each(['no-such.yaml', 'no-such.csv', `${'long'.repeat(100)}.yaml`])('a file that is not there: %s', async name => {
    const { status, value } = await cliJson(['lint', name]);
    expect(status).toBe(2);
    expect(value).toMatchObject({ ok: false, error: { code: 'recipe-unreadable' } });
  });

  test.each([
    ['evaluate', /there is no run and no recipe nope\nList runs with: rowtune runs/],
    ['data', /there is no run and no recipe nope\n/],
    ['verify', /there is no folder nope\n/],
  ])('%s of a name that nothing has', async (command, message) => {
    const { status, stderr } = await cli([command, 'nope']);
    expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  test('one file of several that is not there does not end the check of the others', () =>
    withRecipe(BAD, async (file, cwd) => {
      const { status, value } = await cliJson(['lint', 'none/config.json', file], { cwd });
      expect(status).toBe(2);
      const message = expect.stringContaining('the file none/config.json does not exist');
      const others = expect.arrayContaining([expect.objectContaining({ code: 'unknown-key', line: 2 })]);
      expect(value).toMatchObject({ files: [{ problems: [{ code: 'recipe-unreadable', message }] }, { file, problems: others }] });
    }));
});

describe('bad recipes', () => {
  test.each(['train', 'importance', 'evaluate', 'estimate'])('%s ends with status 2 before anything starts', command =>
    withRecipe(BAD, async (file, folder) => {
      const { status, stderr, value } = await cliJson([command, file], { cwd: folder });
      expect(status).toBe(2);
      expect(stderr).toContain(`${file}:2:1 error unknown-key`);
      expect(value).toMatchObject({ ok: false, error: { code: 'bad-recipe', problems: [{ line: 2 }, { line: 5 }] } });
    }),
  );

  test('a typo in an override is reported like one in the file', () =>
    withRecipe('model: m\ndata: {train: d.jsonl}\n', async (file, folder) => {
      const { status, stderr } = await cli(['train', file, 'learning_rat=1'], { cwd: folder });
      expect(status).toBe(2);
      expect(stderr).toContain('command line:1 error unknown-key');
    }));

  test.each([
    ['evaluate', 'foo=1'],
    ['resume', 'foo=1'],
    ['resume', 'max_steps=many'],
    // Valid as such, but a resumed run can't change it; the worker reports that.
    ['resume', 'learning_rate=1.0e-3'],
  ])('%s of a run folder with %s ends with status 2', (command, override) =>
    withFolder(async folder => {
      await writeFile(path.join(folder, 'recipe.yaml'), stringifyRecipe(recipeIn('model: m\ndata: {train: d.jsonl}\nr: 8\n')));
      const { status, value } = await cliJson([command, folder, override]);
      expect(status).toBe(2);
      expect(value).toMatchObject({
        ok: false,
        error: { code: 'invalid-override', message: expect.stringMatching(/foo|many|learning_rate/) },
      });
    }),
  );

  test('a closed stderr changes neither the status nor stdout', () =>
    withRecipe(BAD, async (file, folder) => {
      const { status, stderr, value } = await cliJson(['evaluate', file], { cwd: folder, closesStderr: true });
      expect([status, stderr]).toEqual([2, '']);
      expect(value).toMatchObject({ ok: false, error: { code: 'bad-recipe' } });
    }));
});

describe('usage', () => {
  test('help with examples, status 0', async () => {
    const { status, stdout } = await cli(['train', '--help']);
    expect(status).toBe(0);
    expect(stdout).toContain('Examples:');
    expect(stdout).toContain('key=value');
  });

  test.each([
    [['nonsense']],
    [['verify']],
    [['export', 'x', '--output', 'y']],
    [['generate', 'm', '--top-p', '2', '--prompt', 'x']],
    [['train', '--wrong']],
  ])('%j ends with status 2', async args => {
    const { status, stdout, stderr } = await cli(args);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('error:');
  });

  test('with --json a usage error is an object too', async () => {
    const { status, value } = await cliJson(['nonsense']);
    expect(status).toBe(2);
    expect(value).toMatchObject({ ok: false, error: { code: 'usage', message: "unknown command 'nonsense'" } });
  });

  test('engine list', async () => {
    const list = (folder: string) => cliJson(['engine', 'list'], { env: { ROWTUNE_CACHE: folder } });
    const { status, value } = await withFolder(list);
    expect(status).toBe(0);
    expect(value).toMatchObject({ ok: true, engines: [], tools: [] });
    const withTool = await withFolder(async folder => {
      await mkdir(path.join(folder, 'engines', 'llama.cpp-1'), { recursive: true });
      return list(folder);
    });
    expect(withTool.value).toMatchObject({ engines: [], tools: [{ name: 'llama.cpp-1' }] });
  });

  test('engine remove refuses a name that is not installed', async () => {
    const { status, stderr, stdout } = await withFolder(folder => cli(['engine', 'remove', '../x'], { env: { ROWTUNE_CACHE: folder } }));
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain("no engine or tool named '../x'");
    expect(stderr).not.toContain('    at ');
  });
});
