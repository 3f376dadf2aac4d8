/** Tests `rowtune lint` as a process: text, JSON and SARIF output, fixes that it writes, and exit statuses. */
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { cli, lastValue } from '../e2e/cli/run-cli.ts';
import { makeWorkspace } from '../unit/lint/check-view.ts';

const folder = makeWorkspace();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function lint(...args: string[]) {
  const run = await cli(['lint', ...args], { cwd: folder });
  return { ...run, value: lastValue(run) };
}
const put = (name: string, text: string): string => {
  writeFileSync(path.join(folder, name), text);
  return name;
};
const read = (name: string): string => readFileSync(path.join(folder, name), 'utf8');

const good = put('good.rowtune.yaml', 'model: models/tiny\nr: 8\nmax_length: 32\ndata: {train: spam.jsonl}\n');
const bad = put('bad.rowtune.yaml', 'model: models/tinny\nlearning_rat: 1.0e-4\ndata: {train: wrong-type.jsonl}\n');

describe('rowtune lint', () => {
  test('reports problems of the recipe, its model and its data under the bad value', async () => {
    const { status, stdout } = await lint(bad);
    expect(status).toBe(2);
    expect(stdout).toContain("bad.rowtune.yaml:1:8 error model-not-found there is no model at 'models/tinny'");
    expect(stdout).toContain('  1 | model: models/tinny\n    |        ^^^^^^^^^^^^\n');
    expect(stdout).toContain('bad.rowtune.yaml:2:1 error unknown-key');
    expect(stdout).toContain('bad.rowtune.yaml:3:15 error bad-sample line 2: key "text"');
  });

  test('accepts the adapters that PEFT writes, of convolutions and of layers that Transformers 5 renames too', async () => {
    const adapters = path.join(import.meta.dirname, '..', 'golden', 'peft');
    const { status, stdout } = await lint(...readdirSync(adapters).map(name => path.join(adapters, name, 'adapter_config.json')));
    expect(status).toBe(0);
    expect(stdout.split('\n').filter(line => !line.endsWith('no problems'))).toEqual(['']);
  });

  test('exits with 0 for a good recipe, and for one with only a hint', async () => {
    expect(await lint(good)).toMatchObject({ status: 0, stdout: 'good.rowtune.yaml: no problems\n' });
    const hint = put('hint.rowtune.yaml', `${read(good)}learning_rate: 1e-4\n`);
    expect(await lint(hint)).toMatchObject({ status: 0, stdout: expect.stringContaining('info number-format') });
  });

  test('reports missing files only as information if the daemon runs on another machine', async () => {
    const far = put('far.rowtune.yaml', 'model: models/far\ndata: {train: far.jsonl}\n');
    expect(await lint(far)).toMatchObject({ status: 2 });
    const env = { ROWTUNE_DAEMON_URL: 'wss://gpu-box:8421', ROWTUNE_DAEMON_DIR: '/srv/mail' };
    const { status, stdout } = await cli(['lint', far], { cwd: folder, env });
    expect(status).toBe(0);
    expect(stdout).toMatch(/info model-not-found .*gpu-box.*\/srv\/mail/);
  });

  test('checks the config.json files of model folders and adapters', async () => {
    const { status, stdout } = await lint(
      'models/tokenized/../mismatch/config.json',
      'models/tiny/config.json',
      'adapters/lora/adapter_config.json',
    );
    expect(status).toBe(2);
    expect(stdout).toMatch(/mismatch\/config.json:\d+:\d+ error config-weights-mismatch/);
    expect(stdout).toContain('models/tiny/config.json: no problems');
  });

  test('exits with 2 for a file that does not exist', async () => {
    const { status, value } = await lint('nowhere.yaml', '--json');
    expect(status).toBe(2);
    expect(value).toMatchObject({ ok: false, error: { code: 'recipe-unreadable' } });
  });
});

describe('output for programs', () => {
  test('--json writes one line, --format json the same value indented', async () => {
    const [line, page] = await Promise.all([lint(bad, good, '--json'), lint(bad, good, '--format', 'json')]);
    expect(line.value).toEqual(JSON.parse(page.stdout));
    expect(line.value).toMatchObject({
      ok: false,
      files: [
        {
          file: bad,
          fixed: false,
          problems: expect.arrayContaining([expect.objectContaining({ code: 'unknown-key', line: 2, column: 1 })]),
        },
        { file: good, problems: [] },
      ],
    });
  });

  /** Forms of the SARIF 2.1.0 objects that are written, according to the standard; other keys are not allowed. */
  const message = z.strictObject({ text: z.string().min(1) });
  const line = z.int().min(1);
  const physicalLocation = z.strictObject({
    artifactLocation: z.strictObject({ uri: z.string().regex(/^[\w./%:~-]+$/) }),
    region: z.strictObject({ startLine: line, startColumn: line.optional(), endLine: line.optional(), endColumn: line.optional() }),
  });
  const rule = z.strictObject({ id: z.string(), shortDescription: message.optional(), help: message });
  const sarif = z.strictObject({
    $schema: z.url(),
    version: z.literal('2.1.0'),
    runs: z
      .array(
        z.strictObject({
          tool: z.strictObject({
            driver: z.strictObject({ name: z.literal('rowtune'), semanticVersion: z.string(), rules: z.array(rule) }),
          }),
          columnKind: z.literal('utf16CodeUnits'),
          artifacts: z.array(z.strictObject({ location: z.strictObject({ uri: z.string() }) })),
          results: z.array(
            z.strictObject({
              ruleId: z.string(),
              ruleIndex: z.int().min(0),
              level: z.enum(['error', 'warning', 'note']),
              message,
              locations: z.array(z.strictObject({ physicalLocation })).length(1),
              relatedLocations: z.array(z.strictObject({ id: z.int().min(0), message, physicalLocation })).optional(),
            }),
          ),
        }),
      )
      .length(1),
  });

  test('SARIF', async () => {
    const odd = put('odd näme.rowtune.yaml', 'model: models/tiny\nr: 8\nmax_length: 32\nlearning_rate: 1e-4\ndata: {train: spam.jsonl}\n');
    const { status, stdout } = await lint(bad, good, odd, '--format', 'sarif');
    expect(status).toBe(2);
    const [run] = sarif.parse(JSON.parse(stdout)).runs;
    expect(run?.artifacts.map(({ location }) => location.uri)).toEqual([bad, good, 'odd%20n%C3%A4me.rowtune.yaml']);
    for (const { ruleId, ruleIndex } of run?.results ?? []) expect(run?.tool.driver.rules[ruleIndex]?.id).toBe(ruleId);
    expect(run?.results.find(({ ruleId }) => ruleId === 'unknown-key')).toMatchObject({
      level: 'error',
      locations: [{ physicalLocation: { region: { startLine: 2, startColumn: 1, endLine: 2, endColumn: 13 } } }],
    });
    const [related] = run?.results.find(({ ruleId }) => ruleId === 'bad-sample')?.relatedLocations ?? [];
    expect(related?.physicalLocation).toEqual({ artifactLocation: { uri: 'wrong-type.jsonl' }, region: { startLine: 2 } });
    expect(run?.results.find(({ ruleId }) => ruleId === 'number-format')?.level).toBe('note');
  });
});

describe('--fix', () => {
  test('makes the safe fixes and reports the other problems', async () => {
    const file = put('fix.rowtune.yaml', '# mine\nmodel: models/tinny\nlr: 1e-4 # fast\noptim: adamw_torch\ndata: {train: spam.jsonl}\n');
    const { status, stdout } = await lint(file, '--fix');
    expect(read(file)).toBe('# mine\nmodel: models/tinny\nlearning_rate: 1.0e-4 # fast\noptim: adamw\ndata: {train: spam.jsonl}\n');
    expect(status).toBe(2);
    expect(stdout).toContain('fix.rowtune.yaml: fixed\n');
    expect(stdout).toContain('model-not-found');
  });

  test('converts the recipe of another tool', async () => {
    const file = put(
      'axolotl.yaml',
      'base_model: models/tiny\nadapter: lora\nlora_r: 8\nsequence_len: 32\ndatasets:\n  - path: spam.jsonl\nwandb_watch: x\n',
    );
    const before = read(file);
    const { status, stdout } = await lint(file, '--fix');
    expect(status).toBe(0);
    expect(stdout).toContain('the original is kept as axolotl.yaml.orig');
    expect(read('axolotl.yaml.orig')).toBe(before);
    expect(read(file)).toBe(
      'model: models/tiny\nmethod: lora\nr: 8\ndata:\n  train: spam.jsonl\nmax_length: 32\ngroup_by_length: false\nper_device_train_batch_size: 1\nnum_train_epochs: 1\nlr_scheduler_type: cosine\nwarmup_ratio: 0.03 # there it is at most 100 updates\n\n# Settings of Axolotl without a counterpart:\n# wandb_watch: x  # specific to the other tool\n',
    );
  });

  test('keeps the permissions of a file, and an earlier original', async () => {
    const file = put('mine.yaml', 'base_model: models/tiny\nadapter: lora\nlora_r: 8\ndatasets:\n  - path: spam.jsonl\n');
    chmodSync(path.join(folder, file), 0o600);
    put('mine.yaml.orig', 'precious');
    const { stdout } = await lint(file, '--fix');
    expect(statSync(path.join(folder, file)).mode & 0o777).toBe(0o600);
    expect(read('mine.yaml.orig')).toBe('precious');
    expect(stdout).toContain('mine.yaml.orig-2');
  });

  test('leaves a good file and a config as they are', async () => {
    const before = [read(good), read('models/mismatch/config.json')];
    await lint(good, 'models/mismatch/config.json', '--fix');
    expect([read(good), read('models/mismatch/config.json')]).toEqual(before);
  });
});
