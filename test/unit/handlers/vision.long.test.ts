/** Tests a language model that learns from images: training, evaluation, answers, importance, resuming, export and serving of prompts. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { JobContext } from '../../../trainer/protocol/messages/job-messages.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { visionFolder } from '../../support/models/vision-folder.ts';
import { recipeOf } from '../../support/runs/recipe-of.ts';
import { previewInProcess, runInProcess, trainRunsIn } from '../../support/runs/run-in-process.ts';
import { expectSameWhenStopped } from '../../support/runs/stopped-run.ts';

const COLORS = { red: [230, 30, 20], blue: [20, 40, 220] } as const;
const names = ['red', 'blue'] as const;

let folder: string;
let context: JobContext;

/** A picture of a color with noise, in one of several sizes. */
async function picture(index: number): Promise<string> {
  const color = COLORS[names[index % 2] ?? 'red'];
  const [width, height] = [16 + ((index * 7) % 24), 16 + ((index * 5) % 20)];
  const pixels = Uint8Array.from({ length: 3 * width * height }, (_, i) => (color[i % 3] ?? 0) + ((i * 7919 + index * 31) % 25));
  await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(join(folder, `${index}.png`));
  return `${index}.png`;
}

beforeAll(async () => {
  folder = await visionFolder();
  context = { baseDir: folder, cacheDir: join(folder, 'cache'), hub: { endpoint: 'http://127.0.0.1:9', offline: true } };
  const samples = await Promise.all(
    Array.from({ length: 28 }, async (_, i) => ({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image', image: await picture(i) },
            { type: 'text', text: 'color?' },
          ],
        },
        { role: 'assistant', content: names[i % 2] },
      ],
    })),
  );
  const pairs = samples.map(({ messages: [prompt, answer] }, i) => ({
    prompt: [prompt],
    chosen: [answer],
    rejected: [{ role: 'assistant', content: names[(i + 1) % 2] }],
  }));
  const lines = (some: readonly object[]) => some.map(one => `${JSON.stringify(one)}\n`).join('');
  writeFileSync(join(folder, 'train.jsonl'), lines(samples.slice(0, 20)));
  writeFileSync(join(folder, 'eval.jsonl'), lines(samples.slice(20)));
  writeFileSync(join(folder, 'pairs.jsonl'), lines(pairs.slice(0, 20)));
  writeFileSync(join(folder, 'held-pairs.jsonl'), lines(pairs.slice(20)));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const recipe = (...overrides: string[]): Recipe =>
  recipeOf(
    `model=${folder}`,
    'engine=portable',
    'method=full',
    'learning_rate=0.01',
    'num_train_epochs=12',
    'per_device_train_batch_size=5',
    'max_length=96',
    'data.train=train.jsonl',
    'data.eval=eval.jsonl',
    'eval_generation.checks=[exact_match]',
    'eval_generation.max_new_tokens=6',
    ...overrides,
  );
const train: ReturnType<typeof trainRunsIn> = (...params) => trainRunsIn(folder, context, recipe)(...params);
const options = { engine: 'portable', chat: true, maxNewTokens: 6, temperature: 0, topK: 0, topP: 1, seed: 0 } as const;

test('answers follow the images of prompts, in a run, with its adapter, and in its export', async () => {
  const { value, events } = await train('colors', []);
  expect(value.before?.measures).toMatchObject({ exact_match: 0 });
  expect(value.after?.measures).toMatchObject({ exact_match: 1 });
  const phases = events.flatMap(event => (event.type === 'phase' && event.name === 'images' ? [event.message] : []));
  expect(phases).toEqual([expect.stringMatching(/^reading 28 images: their vectors take/)]);
  expect(readdirSync(join(context.cacheDir, 'vision')).filter(name => name.endsWith('.safetensors'))).toHaveLength(28);

  const adapter = join(folder, 'colors');
  const ask = async (index: number, model: { readonly model: string; readonly adapter?: string } = { model: folder, adapter }) => {
    const asked = { ...model, revision: 'main', prompt: 'color?', images: [join(folder, `${index}.png`)], promptOf: adapter, options };
    return (await runInProcess({ kind: 'generate', ...asked, context })).value.text;
  };
  expect([await ask(20), await ask(21)]).toEqual(['red', 'blue']);
  const evaluated = await runInProcess({ kind: 'evaluate', recipe: recipe(), adapter, context });
  expect(evaluated.value.measures).toEqual(value.after?.measures);

  const outputDir = join(folder, 'merged');
  await runInProcess({ kind: 'export', adapter, format: 'merged', outputDir, overwrite: false, context });
  expect([await ask(22, { model: outputDir }), await ask(23, { model: outputDir })]).toEqual(['red', 'blue']);
  const kept = (dir: string) => readFileSync(join(dir, 'preprocessor_config.json'), 'utf8');
  expect(kept(outputDir)).toBe(kept(folder));
});

test.each([
  ['lfm3_vl', '<|image_pad|>'],
  ['minicpm_v', '<|image_pad|>'],
  ['lighton_ocr', '<|image_pad|>'],
  ['glm4v', '<|image|>'],
  ['glm_ocr', '<|image|>'],
  ['paddleocr_vl', '<|IMAGE_PLACEHOLDER|>'],
])('answers of %s follow the images of prompts, in a run and with its adapter', async (like, image) => {
  const base = await visionFolder(like, image);
  const { value } = await train(like, [`model=${base}`]);
  expect(value.before?.measures).toMatchObject({ exact_match: 0 });
  expect(value.after?.measures).toMatchObject({ exact_match: 1 });
  const asked = { model: base, adapter: join(folder, like), revision: 'main', prompt: 'color?', promptOf: join(folder, like), options };
  const ask = async (index: number) =>
    (await runInProcess({ kind: 'generate', ...asked, images: [join(folder, `${index}.png`)], context })).value.text;
  expect([await ask(20), await ask(21)]).toEqual(['red', 'blue']);
});

test('a server reads the images of requests, but opens no address', async () => {
  const models = [{ name: 'colors', model: folder, revision: 'main', adapter: join(folder, 'colors') }];
  const served = { host: '127.0.0.1', port: 0, origins: [], maxTokens: 6, parallel: 2 } as const;
  const asking: Promise<unknown>[] = [];
  await runInProcess({ kind: 'serve', models, engine: 'portable', ...served, context }, (event, job) => {
    if (event.type !== 'serving') return;
    const ask = async (url: string): Promise<unknown> => {
      const content = [
        { type: 'image_url', image_url: { url } },
        { type: 'text', text: 'color?' },
      ];
      const body = JSON.stringify({ model: 'colors', messages: [{ role: 'user', content }], temperature: 0 });
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`http://127.0.0.1:${event.port}/v1/chat/completions`, { method: 'POST', headers, body });
      return response.json();
    };
    const inside = (index: number) => `data:image/png;base64,${readFileSync(join(folder, `${index}.png`)).toString('base64')}`;
    asking.push(ask(inside(24)), ask(inside(25)), ask(`file://${join(folder, '24.png')}`), ask('data:image/png;base64,AAAA'));
    void Promise.allSettled(asking).then(() => job.requestStop({ save: false, reason: 'the test says so' }));
  });
  const answer = (content: string) => ({ choices: [{ message: { content } }] });
  const refusal = (message: RegExp) => ({ error: { message: expect.stringMatching(message) } });
  expect(await Promise.all(asking)).toMatchObject([
    answer('red'),
    answer('blue'),
    refusal(/'messages\[0\]\.content' must be/),
    refusal(/an image that cannot be used/),
  ]);
});

test('a stopped run continues as if it had not been, also if the vectors of its images are gone', async () => {
  await expectSameWhenStopped({
    folder,
    context,
    train,
    name: 'stopped',
    settings: ['num_train_epochs=2', 'method=lora', 'r=4', 'packing=true'],
    step: 2,
    beforeResume: () => rmSync(join(context.cacheDir, 'vision'), { recursive: true }),
  });
});

test('a run whose vectors disappear says so, and continues', async () => {
  const settings = ['num_train_epochs=4', 'method=lora', 'r=4', 'eval_generation.checks=[]', 'save_strategy=steps', 'save_steps=2'];
  const failed = train('emptied', settings, event => {
    if (event.type === 'metrics' && event.step === 3) rmSync(join(context.cacheDir, 'vision'), { recursive: true, force: true });
  });
  await expect(failed).rejects.toMatchObject({ code: 'disk-error', message: expect.stringMatching(/are not in the cache any more/) });
  const { value } = await runInProcess({ kind: 'resume', runDir: join(folder, 'emptied'), overrides: [], context });
  expect(value).toMatchObject({ state: 'finished', steps: 16 });
});

test('importance reads the images too', async () => {
  const { value } = await train('scored', [
    'num_train_epochs=1',
    'method=spsft',
    'r=2',
    'importance.measure=taylor',
    'importance.samples=8',
  ]);
  expect(value.state).toBe('finished');
});

const ofPairs = ['data.train=pairs.jsonl', 'data.eval=held-pairs.jsonl', 'per_device_train_batch_size=4', 'eval_generation.checks=[]'];

test.each(['dpo', 'orpo'])('preferences read the images of their prompts: %s', async task => {
  const { value } = await train(`preferring-${task}`, [...ofPairs, `task=${task}`, 'num_train_epochs=3']);
  // The texts of all prompts are equal, so without images half of the pairs would be right.
  expect(value.after?.measures).toMatchObject({ accuracy: 1 });
});

test.each(['dpo', 'kto'])('a reference that is read during training sees the same images: %s', async task => {
  const losses: unknown[] = [];
  for (const reference of ['cached', 'live']) {
    const settings = [`task=${task}`, 'num_train_epochs=1', 'method=lora', 'r=4', `preference.reference=${reference}`];
    const { value } = await train(`${task}-${reference}`, [...ofPairs, ...settings]);
    losses.push(value.after?.loss);
  }
  expect(losses[1]).toBeCloseTo(Number(losses[0]), 4);
});

test('a preview of pairs shows their images', async () => {
  const { value } = await previewInProcess(recipe('task=dpo', ...ofPairs), context);
  const [first] = value.page.samples;
  expect(first?.sequences.map(({ side }) => side)).toEqual(['chosen', 'rejected']);
  expect(first?.images).toHaveLength(1);
});

test('a preview shows the tokens of an image once, with their number', async () => {
  const { value } = await previewInProcess(recipe(), context);
  const texts = value.page.samples.map(({ sequences }) =>
    sequences.flatMap(({ runs }) => runs.flatMap(({ tokens }) => tokens.map(({ text }) => text))),
  );
  expect(texts.flat()).toContainEqual(expect.stringMatching(/^<\|image_pad\|>×\d+$/));
});

test('a missing image of a prompt is named', async () => {
  const asked = { model: folder, revision: 'main', prompt: 'color?', images: [join(folder, 'none.png')], options };
  await expect(runInProcess({ kind: 'generate', ...asked, context })).rejects.toThrow(/no file .*none\.png/);
});
