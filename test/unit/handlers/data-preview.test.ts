/** Tests that the preview of data shows exactly what a run is fed, by comparing ids and targets with the batches of the run itself. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, test } from 'vitest';
import { Job } from '../../../trainer/job/job.ts';
import { openBase } from '../../../trainer/job/open-base.ts';
import { DataCache } from '../../../trainer/lint/facts/data-facts.ts';
import { readDataFact } from '../../../trainer/lint/facts/read-data-fact.ts';
import { setUpTask } from '../../../trainer/objective/set-up-task.ts';
import type { JobContext } from '../../../trainer/protocol/messages/job-messages.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import type { DataResult, ShownSequence } from '../../../trainer/protocol/view/data.ts';
import { withAbsolutePaths } from '../../../trainer/run/absolute-paths.ts';
import { makeEncoderTask } from '../../support/runs/encoder-task.ts';
import { previewInProcess } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';
import { listen, sendFile, siblingsOf } from '../hub/hub-server.ts';

const task = makeTinyTask();
const folders = [task.folder];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Returns the ids of a sequence with its targets as text, so that lists of them can be sorted. */
const idsOf = ({ runs }: ShownSequence): string =>
  runs
    .filter(({ use }) => use !== 'cut')
    .flatMap(({ use, tokens }) => tokens.flatMap(({ ids }) => ids.map(id => (use === 'trained' ? `[${id}]` : `${id}`))))
    .join(' ');
const shownIds = ({ page }: DataResult): string[] => page.samples.flatMap(({ sequences }) => sequences.map(idsOf)).sort();

/** Returns every row of an epoch of the run, in the same form. */
async function rowsOfRun(recipe: Recipe, context: JobContext): Promise<string[]> {
  const scope = { job: new Job(() => undefined), context, recipe };
  const base = await openBase(scope);
  try {
    const { plan, fill } = (await setUpTask({ ...scope, base }, 'train')).trainSource();
    const rows: string[] = [];
    for (const planned of plan.epoch(0)) {
      const batch = await fill(planned);
      const feeds = batch.feeds(batch.targetCount);
      const { tokens, batch: height } = batch.bucket;
      const trained = new Set<number>();
      const weights = [...(feeds.targetPresence ?? feeds.targetWeights ?? feeds.weights ?? [])];
      // Positions before targets, or a label for each token of a tagged text.
      const places = feeds.targetPositions
        ? [...feeds.targetPositions].map(position => position + 1)
        : weights.length === feeds.ids?.length
          ? weights.keys()
          : [];
      for (const [i, place] of [...places].entries()) if ((weights[i] ?? 0) > 0) trained.add(place);
      const present = batch.segments ?? feeds.seen ?? [];
      for (let row = 0; row < height; row++) {
        const own = Array.from({ length: tokens }, (_, i) => row * tokens + i).filter(place => (present[place] ?? 0) > 0);
        if (own.length > 0)
          rows.push(own.map(place => (trained.has(place) ? `[${feeds.ids?.[place]}]` : `${feeds.ids?.[place]}`)).join(' '));
      }
    }
    return rows.sort();
  } finally {
    await base.folder.weights.close();
  }
}

const lines = (...samples: readonly object[]): string => samples.map(sample => `${JSON.stringify(sample)}\n`).join('');

describe('language models', () => {
  test('labeled texts: the ids and targets of the run, the labels, the shapes of its batches', async () => {
    const recipe = task.recipe('engine=portable');
    const { value, events } = await previewInProcess(recipe, task.context);
    expect(shownIds(value)).toEqual(await rowsOfRun(recipe, task.context));
    expect(value.page.samples.map(({ labels }) => labels?.[0])).toEqual(
      Array.from({ length: 24 }, (_, i) => (i % 2 === 0 ? 'ham' : 'spam')),
    );
    expect(value.page).toMatchObject({
      part: 'train',
      parts: ['train', 'eval'],
      more: false,
      format: expect.stringContaining('text_label'),
    });
    expect(value.page.columns.map(({ name }) => name)).toEqual(['text', 'label']);
    const [train, held] = value.statistics?.parts ?? [];
    expect(train).toMatchObject({ part: 'train', samples: 24, labels: [{ count: 12 }, { count: 12 }] });
    expect(held).toMatchObject({ part: 'held', samples: 10 });
    expect(train?.shapes.reduce((sum, { samples }) => sum + samples, 0)).toBe(24);
    expect(train?.histogram.reduce((sum, { count }) => sum + count, 0)).toBe(24);
    // Each report names its part.
    expect(value.statistics?.reports).toMatchObject([
      expect.stringMatching(/^data\.train: .*train\.jsonl\nformat /),
      expect.stringMatching(/^data\.eval: .*\.jsonl\nformat /),
    ]);
    // The first samples arrive before all are read.
    const order = events.map(({ type }) => type);
    expect(order.indexOf('samples')).toBeGreaterThanOrEqual(0);
    expect(events.findIndex(event => event.type === 'phase' && event.name === 'compare')).toBeGreaterThan(order.indexOf('samples'));
  });

  test('what is cut off is shown in its place, and nothing of it is counted', async () => {
    writeFileSync(
      join(task.folder, 'long.jsonl'),
      lines({ prompt: `begin ${'x'.repeat(60)} end?`, completion: 'yes' }, { prompt: 'a', completion: `${'y'.repeat(80)}` }),
    );
    const recipe = task.recipe('engine=portable', 'data.train=long.jsonl', 'data.eval=[]', 'max_length=32');
    const { value } = await previewInProcess(recipe, task.context);
    expect(shownIds(value)).toEqual(await rowsOfRun(recipe, task.context));
    const [first, second] = value.page.samples.map(({ sequences }) => sequences[0]);
    expect(first?.runs.map(({ use }) => use)).toEqual(['context', 'cut', 'trained']);
    expect(first?.length).toBe(32);
    expect(first?.cut).toBeGreaterThan(30);
    expect(second?.runs.at(-1)?.use).toBe('cut');
    const whole = first?.runs.flatMap(({ tokens }) => tokens.map(({ text }) => text)).join('');
    expect(whole).toContain(`begin ${'x'.repeat(60)} end?`);
  });

  test('duplicates, the same prompt with another answer, empty answers and leaks are found', async () => {
    const one = { prompt: 'one?', completion: '1' };
    writeFileSync(
      join(task.folder, 'odd.jsonl'),
      lines(one, { prompt: 'two?', completion: '2' }, one, { prompt: 'two?', completion: '3' }),
    );
    writeFileSync(join(task.folder, 'leaking.jsonl'), lines({ prompt: 'one?', completion: '9' }, { prompt: 'new?', completion: '4' }));
    const { value } = await previewInProcess(
      task.recipe('engine=portable', 'data.train=odd.jsonl', 'data.eval=leaking.jsonl'),
      task.context,
    );
    const [train] = value.statistics?.parts ?? [];
    expect(train?.duplicates.count).toBe(1);
    expect(train?.duplicates.groups[0]?.map(({ line }) => line)).toEqual([1, 3]);
    expect(train?.conflicts).toMatchObject({ count: 1, groups: [[{ line: 2 }, { line: 4 }]] });
    expect(value.statistics?.leaks).toMatchObject({ count: 1, groups: [[{ line: 1 }, { line: 1, held: true }]] });
  });

  test('of large data, facts about samples that were drawn come before those about all', async () => {
    const count = 1100;
    // Large because of a column that is not read.
    const samples = Array.from({ length: count }, (_, i) => ({ prompt: `${i % 1000}?`, completion: `${i}`, notes: 'x'.repeat(4096) }));
    writeFileSync(join(task.folder, 'large.jsonl'), lines(...samples));
    const recipe = task.recipe('engine=portable', 'data.train=large.jsonl', 'data.eval=[]', 'val_size=0');
    const { value, events } = await previewInProcess(recipe, task.context, { count: 1 });
    const drawn = events.flatMap(event => (event.type === 'statistics' ? [event.statistics] : []));
    expect(drawn).toHaveLength(1);
    expect(drawn[0]).toMatchObject({ drawn: { samples: 1000, of: count }, parts: [{ samples: 1000, padding: expect.any(Number) }] });
    expect(value.statistics).toMatchObject({ parts: [{ samples: count, conflicts: { count: 100 } }] });
    expect(value.statistics?.drawn).toBeUndefined();
    const few = await previewInProcess({ ...recipe, data: { ...recipe.data, max_samples: 900 } }, task.context, { count: 1 });
    expect(few.events.filter(({ type }) => type === 'statistics')).toEqual([]);
  });

  test('samples that stop or leave a run are shown with their reason; a page begins anywhere', async () => {
    writeFileSync(
      join(task.folder, 'bad.jsonl'),
      `${lines({ prompt: 'a', completion: 'b' })}{nonsense\n${lines({ prompt: 'c', completion: '' }, { prompt: 'd', completion: 'e' })}`,
    );
    const recipe = task.recipe('engine=portable', 'data.train=bad.jsonl', 'data.eval=[]');
    const { value } = await previewInProcess(recipe, task.context);
    expect(value.page.samples.map(({ state, line }) => [state, line])).toEqual([
      ['kept', 1],
      ['malformed', 2],
      ['malformed', 3],
      ['kept', 4],
    ]);
    expect(value.page.samples[2]?.reason).toContain('empty text');
    expect(value.statistics).toBeUndefined();
    expect(value.failure).toContain('bad.jsonl:2');
    const { value: later } = await previewInProcess(recipe, task.context, { from: 3, count: 5, statistics: false });
    expect(later.page.samples.map(({ index, line }) => [index, line])).toEqual([[3, 4]]);
    const { value: unknown } = await previewInProcess(task.recipe('engine=portable', 'data.train=strange.jsonl'), task.context).catch(
      () => ({
        value: undefined,
      }),
    );
    expect(unknown?.page.problem).toContain('strange.jsonl');
  });

  test('columns that are not found are named, so that they can be mapped', async () => {
    writeFileSync(join(task.folder, 'named.jsonl'), lines({ body: 'x', kind: 'ham' }, { body: 'y', kind: 'spam' }));
    const { value } = await previewInProcess(task.recipe('engine=portable', 'data.train=named.jsonl'), task.context, { statistics: false });
    expect(value.page.problem).toContain('the keys "body" and "kind"');
    expect(value.page.columns).toEqual([
      { name: 'body', example: 'x' },
      { name: 'kind', example: 'ham' },
    ]);
    const mapped = task.recipe('engine=portable', 'data.train=named.jsonl', 'data.columns={text: body, label: kind}');
    expect((await previewInProcess(mapped, task.context, { statistics: false })).value.page.samples).toHaveLength(2);
  });
});

test('pairs of answers: both sides of each, as the run compares them', async () => {
  const pair = (n: number) => ({ prompt: `Q${n}: `, chosen: `ok ${n}`, rejected: `no${'!'.repeat(3 + n)}` });
  writeFileSync(join(task.folder, 'pairs.jsonl'), lines(...Array.from({ length: 9 }, (_, n) => pair(n))));
  const recipe = task.recipe('engine=portable', 'task=simpo', 'data.train=pairs.jsonl', 'data.eval=[]', 'max_length=32');
  const { value } = await previewInProcess(recipe, task.context);
  expect(shownIds(value)).toEqual(await rowsOfRun(recipe, task.context));
  expect(value.page.samples[0]?.sequences.map(({ side }) => side)).toEqual(['chosen', 'rejected']);
  expect(value.statistics?.parts[0]).toMatchObject({ samples: 9, duplicates: { count: 0 } });
});

test('judged answers, as a run without a reference point reads them', async () => {
  const answer = (n: number) => ({ prompt: `Q${n}: `, completion: `ok ${n}`, label: n % 2 === 0 });
  writeFileSync(join(task.folder, 'judged.jsonl'), lines(...Array.from({ length: 9 }, (_, n) => answer(n))));
  const recipe = (...more: string[]) =>
    task.recipe('engine=portable', 'task=kto', 'data.train=judged.jsonl', 'data.eval=[]', 'max_length=32', ...more);
  const { value } = await previewInProcess(recipe(), task.context);
  expect(shownIds(value)).toEqual(await rowsOfRun(recipe('preference.loss_type=apo_zero_unpaired'), task.context));
  expect(
    value.page.samples
      .slice(0, 2)
      .flatMap(({ sequences }) => sequences.map(({ side }) => side))
      .sort(),
  ).toEqual(['desirable', 'undesirable']);
});

describe('classifiers', () => {
  test('words with labels: the first token of each is trained, with its tag', async () => {
    const words = 'xa B-THING\nca O\n\nyb B-PLACE\nzb I-PLACE\nda O\n\n';
    const { folder, context, recipe } = makeEncoderTask(['task=token_classification', 'data.train=train.conll'], {
      'train.conll': words.repeat(3),
    });
    folders.push(folder);
    const { value } = await previewInProcess(recipe(), context);
    expect(shownIds(value)).toEqual(await rowsOfRun(recipe(), context));
    const [run] = value.page.samples[0]?.sequences[0]?.runs.filter(({ use }) => use === 'trained') ?? [];
    expect(run?.tokens[0]?.tag).toBe('B-THING');
    expect(value.statistics?.parts[0]?.duplicates.count).toBe(4);
  });

  test('labeled texts and pairs of texts', async () => {
    const { folder, context, recipe } = makeEncoderTask(['task=sequence_classification', 'data.train=train.jsonl'], {
      'train.jsonl': lines(
        ...Array.from({ length: 8 }, (_, n) => ({
          text: `xa ca ${'da '.repeat(n)}`,
          text_pair: 'ya',
          label: n % 2 === 0 ? 'even' : 'odd',
        })),
      ),
    });
    folders.push(folder);
    const { value } = await previewInProcess(recipe(), context);
    expect(shownIds(value)).toEqual(await rowsOfRun(recipe(), context));
    expect(value.page.samples.map(({ labels }) => labels)).toEqual(Array.from({ length: 8 }, (_, n) => [n % 2 === 0 ? 'even' : 'odd']));
    expect(value.statistics?.parts[0]?.labels).toEqual([
      { name: 'even', count: 4 },
      { name: 'odd', count: 4 },
    ]);
  });
});

test('images: as the model sees them, with their labels', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rowtune-shown-images-'));
  folders.push(folder);
  cpSync(join(import.meta.dirname, '..', '..', 'golden', 'vit'), join(folder, 'model'), { recursive: true });
  for (const [label, value] of Object.entries({ day: 200, night: 40 })) {
    mkdirSync(join(folder, 'images', label), { recursive: true });
    const picture = sharp({ create: { width: 16, height: 12, channels: 3, background: { r: value, g: 10, b: 90 } } });
    for (const name of ['1.png', '2.png']) writeFileSync(join(folder, 'images', label, name), await picture.png().toBuffer());
  }
  const { recipe } = parseRecipe('', {
    overrides: ['model=model', 'task=image_classification', 'method=head', 'data.train=images', 'engine=portable'],
  });
  if (!recipe) throw new Error('no recipe');
  const { value } = await previewInProcess(recipe, { ...task.context, baseDir: folder });
  expect(value.page.samples.map(({ labels }) => labels?.[0])).toEqual(['day', 'day', 'night', 'night']);
  const { src = '', width = 0, height = 0 } = value.page.samples[0]?.picture ?? {};
  const { data, info } = await sharp(Buffer.from(src.split(',')[1] ?? '', 'base64'))
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([width, height]);
  expect([...data.subarray(0, 3)]).toEqual([200, 10, 90]);
  expect(value.statistics?.parts[0]).toMatchObject({ samples: 4, duplicates: { count: 2 } });
});

test('of a data set on the hub, a page of samples reads few bytes, more for a later page, and none without a network', async () => {
  const parquet = readFileSync(join(import.meta.dirname, '..', 'data', 'fixtures', 'groups.parquet'));
  let sent = 0;
  const endpoint = await listen((request, response) => {
    if (request.url?.startsWith('/api/datasets/org/notes/'))
      return void response.end(JSON.stringify({ sha: 'f'.repeat(40), siblings: siblingsOf({ 'default/train/0000.parquet': parquet }) }));
    sent += sendFile(request, response, parquet);
  });
  const cache = mkdtempSync(join(tmpdir(), 'rowtune-hub-data-'));
  folders.push(cache);
  const context = { ...task.context, cacheDir: cache, hub: { endpoint, offline: false } };
  const recipe = task.recipe('engine=portable', 'data.train=org/notes', 'data.eval=[]', 'max_length=64');
  const page = async (from: number, on = context, statistics = false) =>
    (await previewInProcess(recipe, on, { from, count: 2, statistics })).value.page;
  const first = await page(0);
  expect(first).toMatchObject({ more: true, samples: [{ index: 0 }, { index: 1 }] });
  expect(sent).toBeLessThan(parquet.length / 3);
  const before = sent;
  expect((await page(10)).samples.map(({ index }) => index)).toEqual([10, 11]);
  expect(sent - before).toBeLessThan(parquet.length / 2);
  const known = sent;
  expect(await page(10, { ...context, hub: { endpoint, offline: true } })).toMatchObject({
    more: true,
    samples: [{ index: 10 }, { index: 11 }],
  });
  expect(sent).toBe(known);
  // The last page has all remaining samples, and facts about all samples cover the whole file.
  expect(await page(58)).toMatchObject({ more: false, samples: [{ index: 58 }, { index: 59 }] });
  const { value } = await previewInProcess(recipe, context, { count: 2 });
  expect(value.page.samples.map(sample => ({ ...sample, file: '' }))).toEqual(first.samples.map(sample => ({ ...sample, file: '' })));
  expect(value.statistics?.parts[0]?.samples).toBe(60);
});

describe.each([1, 2])('of %d data sets on the hub, samples that are drawn', count => {
  const fixture = join(import.meta.dirname, '..', 'data', 'fixtures', 'groups.parquet');
  const parquet = readFileSync(fixture);
  const settings = ['engine=portable', 'data.eval=[]', 'max_length=64', 'data.max_samples=6', 'seed=3'];
  async function served() {
    let sent = 0;
    const endpoint = await listen((request, response) => {
      if (request.url?.startsWith('/api/datasets/org/'))
        return void response.end(JSON.stringify({ sha: 'a'.repeat(40), siblings: siblingsOf({ 'default/train/0000.parquet': parquet }) }));
      sent += sendFile(request, response, parquet);
    });
    const cacheDir = mkdtempSync(join(tmpdir(), 'rowtune-hub-drawn-'));
    folders.push(cacheDir);
    const page = async (from: number, offline = false, more: readonly string[] = []) => {
      const recipe = task.recipe(...settings, `data.train=[${['org/notes', 'org/more'].slice(0, count).join(', ')}]`, ...more);
      const context = { ...task.context, cacheDir, hub: { endpoint, offline } };
      return (await previewInProcess(recipe, context, { from, count: 2, statistics: false })).value.page;
    };
    return { page, sent: () => sent };
  }
  const shown = ({ samples }: DataResult['page']) => samples.map(({ sequences }) => sequences.map(idsOf));

  test('the page shows those that training sees, from a part of the bytes, and again without a network', async () => {
    const local = task.recipe(...settings, `data.train=[${Array(count).fill(fixture).join(', ')}]`);
    const all = (await previewInProcess(local, task.context, { from: 0, count: 10, statistics: false })).value.page;
    expect(all.samples).toHaveLength(6);
    const { page, sent } = await served();
    const first = await page(0);
    expect(shown(first)).toEqual(shown(all).slice(0, 2));
    expect(first).toMatchObject({ more: true, columns: all.columns });
    expect(sent()).toBeLessThan((count * parquet.length) / 2);
    const known = sent();
    expect(shown(await page(0, true))).toEqual(shown(first));
    expect(sent()).toBe(known);
    const last = await page(4);
    expect([shown(last), last.more]).toEqual([shown(all).slice(4), false]);
  });

  test('a column that the data lacks is a problem next to the columns that there are', async () => {
    const { page } = await served();
    const { problem, samples, columns } = await page(0, false, ['data.columns={text: txt}']);
    expect(problem).toMatch(/no such column; did you mean "text"/);
    expect([samples, columns.map(({ name }) => name)]).toEqual([[], ['text', 'label']]);
  });
});

test('a data set by its name on the hub: downloaded, shown and trained on under its name, and known to lint from the cache', async () => {
  const parquet = readFileSync(join(import.meta.dirname, '..', 'data', 'fixtures', 'labeled.zstd.parquet'));
  const endpoint = await listen((request, response) => {
    const files = { 'default/train/0000.parquet': parquet, 'default/test/0000.parquet': parquet };
    if (request.url?.startsWith('/api/datasets/org/mails/'))
      return void response.end(JSON.stringify({ sha: 'e'.repeat(40), siblings: siblingsOf(files) }));
    sendFile(request, response, parquet);
  });
  const cache = mkdtempSync(join(tmpdir(), 'rowtune-hub-data-'));
  folders.push(cache);
  const context = { ...task.context, cacheDir: cache, hub: { endpoint, offline: false } };
  const recipe = task.recipe(
    'engine=portable',
    'data.train=org/mails',
    'data.eval=org/mails',
    'data.eval_split=test',
    'val_size=0',
    'max_length=64',
  );
  expect(recipe.data).toMatchObject({ train: ['org/mails'], split: 'train', eval_split: 'test' });
  const { value } = await previewInProcess(recipe, context, { count: 3 });
  expect(value.page.samples).toHaveLength(3);
  expect(value.page.samples[0]?.file).toContain(join('datasets', 'org--mails', 'e'.repeat(40), 'default', 'train', '0000.first-1.parquet'));
  expect(value.statistics?.parts.map(({ part }) => part)).toEqual(['train', 'held']);
  expect(value.statistics?.leaks.count).toBe(value.statistics?.parts[1]?.samples);
  const offline = { ...context, hub: { offline: true } };
  expect((await previewInProcess(recipe, offline, { count: 100 })).value.statistics).toEqual(value.statistics);
  expect(withAbsolutePaths(recipe, task.folder).data.train).toEqual(['org/mails']);
  const facts = await new DataCache(readDataFact, cache).look('org/mails', recipe, task.folder);
  expect(facts).toMatchObject({ written: 'org/mails', state: 'ok', columns: value.page.columns.map(({ name }) => name) });
  await expect(previewInProcess(task.recipe('data.train=org/none', 'engine=portable'), offline)).rejects.toThrow(
    /org\/none is not in the cache.*does not exist either/,
  );
});
