/** Tests the job 'importance' on the tiny task: class-wise scores in one file, the cache, and continuing after a stop. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openScoreSets } from '../../../trainer/importance/score-sets.ts';
import { loadScores } from '../../../trainer/importance/scores-file.ts';
import type { Job } from '../../../trainer/job/job.ts';
import type { WorkerEvent } from '../../../trainer/protocol/messages/job-messages.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { runInProcess } from '../../support/runs/run-in-process.ts';
import { makeTinyTask } from '../../support/runs/tiny-task.ts';

const task = makeTinyTask();
/** A separate cache without engines. */
const cacheDir = mkdtempSync(join(tmpdir(), 'rowtune-cache-'));
afterAll(() => {
  for (const folder of [task.folder, cacheDir]) rmSync(folder, { recursive: true });
});

const fileOf = (name: string): string => join(task.folder, `${name}.safetensors`);
const logsOf = (events: readonly WorkerEvent[]): string[] => events.flatMap(event => (event.type === 'log' ? [event.message] : []));

async function score(name: string, overrides: readonly string[], onEvent?: (event: WorkerEvent, job: Job) => void) {
  const recipe = task.recipe('engine=portable', 'importance.samples=12', 'importance.batch_size=3', ...overrides);
  const request = { kind: 'importance', recipe, outputFile: fileOf(name), context: { ...task.context, cacheDir } } as const;
  const { value, events } = await runInProcess(request, onEvent);
  return { value, logs: logsOf(events), events };
}

describe('class-wise scores', () => {
  test('are stored with those of the measure, under the names of their classes', async () => {
    const { value, logs } = await score('qm', ['importance.measure=qm_taylor']);
    expect(value).toMatchObject({ measure: 'qm_taylor', samples: 12, classes: [{ name: 'ham' }, { name: 'spam' }] });
    expect(logs).toContainEqual(expect.stringMatching(/qm_taylor takes quantiles over classes, which are unreliable for 2 labels/));
    const file = await openScoreSets(fileOf('qm'));
    expect(file.sets).toEqual([
      { key: '', measure: 'qm_taylor' },
      { key: '@class:ham', measure: 'qm_taylor', className: 'ham' },
      { key: '@class:spam', measure: 'qm_taylor', className: 'spam' },
    ]);
    const module = 'model.layers.0.mlp.up_proj';
    const [all, ham, spam] = await Promise.all(['', '@class:ham', '@class:spam'].map(key => file.read(key, module)));
    await file.close();
    // For two classes, every quantile lies between them, and the eleven are spread evenly, so the mean is the midpoint.
    all?.forEach((value, row) => {
      expect(value).toBeCloseTo(((ham?.[row] as number) + (spam?.[row] as number)) / 2, 6);
    });
    const loaded = await loadScores(fileOf('qm'), value.base);
    expect(loaded.classes?.counts.reduce((a, b) => a + b)).toBe(12);
    expect(loaded.classes?.scores.get(module)).toEqual(Float32Array.of(...(ham ?? []), ...(spam ?? [])));
  });

  test('need labels', async () => {
    writeFileSync(join(task.folder, 'plain.jsonl'), `${JSON.stringify({ text: 'no label here' })}\n`.repeat(4));
    await expect(score('plain', ['importance.measure=qm_taylor', 'data.train=plain.jsonl', 'data.eval=[]'])).rejects.toThrow(
      /needs? labels of at least two classes; this data has none/,
    );
  });
});

describe('the cache', () => {
  const cached = ['importance.measure=taylor_row', 'importance.cache=true'];
  const bytes = (name: string): Buffer => readFileSync(fileOf(name));

  test('gives the same scores again, and says so', async () => {
    const first = await score('first', cached);
    const second = await score('second', cached);
    const fresh = await score('fresh', [...cached, 'importance.cache=false']);
    const say = /taken from the cache .*importance\.cache=false/;
    expect([first, second, fresh].map(({ logs }) => logs.some(line => say.test(line)))).toEqual([false, true, false]);
    expect(bytes('second')).toEqual(bytes('first'));
    expect(bytes('fresh')).toEqual(bytes('first'));
  });

  test('keeps no warning of the labels back', async () => {
    const byQuantiles = ['importance.measure=qm_taylor', 'importance.cache=true'];
    const [, again] = [await score('warned', byQuantiles), await score('warned-again', byQuantiles)];
    expect(again.logs).toContainEqual(expect.stringMatching(/taken from the cache/));
    expect(again.logs).toContainEqual(expect.stringMatching(/are unreliable for 2 labels/));
  });

  test.each(['importance.samples=11', 'importance.batch_size=4', 'importance.seed=7', 'importance.measure=fisher', 'max_length=16'])(
    'is not asked for %s',
    async change => {
      const { logs } = await score('other', [...cached, change]);
      expect(logs.filter(line => /taken from the cache/.test(line))).toEqual([]);
    },
  );

  test('holds what a stopped pass had done, and the next continues from there', async () => {
    const measure = ['importance.measure=class_mean_taylor', 'importance.cache=true', 'importance.batch_size=2'];
    const stop = (event: WorkerEvent, job: Job): void => {
      if (event.type !== 'progress' || event.phase !== 'importance') return;
      if (event.done > 0) job.requestStop({ save: true, reason: 'asked' });
      // A quick pass reports nothing between start and end, because the next event is due after 100 ms.
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 120);
    };
    await expect(score('stopped', measure, stop)).rejects.toMatchObject({ code: 'stopped' });
    expect(readdirSync(join(cacheDir, 'scores')).filter(name => name.includes('unfinished'))).toHaveLength(1);
    const { logs } = await score('resumed', measure);
    expect(logs).toContainEqual(expect.stringMatching(/^\d of \d+ batches were done before$/));
    expect(readdirSync(join(cacheDir, 'scores')).filter(name => name.includes('unfinished'))).toEqual([]);
    await score('whole', [...measure, 'importance.cache=false']);
    expect(bytes('resumed')).toEqual(bytes('whole'));
  });
});

test('the first rate is not above what was done', async () => {
  const { events } = await score('rate', ['importance.measure=magnitude']);
  const rates = events.flatMap(event => (event.type === 'progress' && event.phase === 'importance' ? [event.ratePerSecond ?? 0] : []));
  expect(Math.max(...rates)).toBeLessThan(1e5);
});

async function reportOf(name: string, overrides: readonly string[]) {
  const recipe = task.recipe('engine=portable', 'importance.samples=12', 'r=8', ...overrides);
  const request = { kind: 'importance', recipe, outputFile: fileOf(name), context: { ...task.context, cacheDir }, report: true } as const;
  const { value } = await runInProcess(request);
  if (!value.report) throw new Error('no report');
  return value.report;
}

describe('the stability report', () => {
  test('of labeled data tells halves, measures, classes and losses with rows at zero', async () => {
    const found = await reportOf('stable', ['importance.measure=qm_taylor']);
    expect(found.samples).toEqual([6, 6]);
    expect(found.halves.map(({ measure }) => measure)).toEqual(['qm_taylor', 'wanda', 'activation', 'taylor_row', 'fisher']);
    expect(found.measures.names).toContain('random');
    for (const { mean } of found.halves) expect(mean).toBeGreaterThan(0);
    expect(found.classes?.names).toEqual(['ham', 'spam']);
    const { sets, columns } = found.ablation;
    expect(columns).toEqual(['ham', 'spam']);
    expect(sets.map(({ name }) => name)).toEqual(['none', 'chosen by qm_taylor', 'random rows', 'only of ham', 'only of spam']);
    for (const { losses } of sets) expect(losses.every(Number.isFinite)).toBe(true);
    expect(sets[1]?.losses).not.toEqual(sets[0]?.losses);
    expect(readRecord(`${fileOf('stable')}.report.json`)).toEqual(found);
    expect(readFileSync(`${fileOf('stable')}.report.md`, 'utf8')).toContain('## Between classes');
  });

  test('of columns compares the measures that score them, and sets columns to zero', async () => {
    const found = await reportOf('columns', ['trains=columns', 'importance.measure=taylor_row']);
    expect(found.unit).toBe('columns');
    expect(found.measures.names).toEqual(['taylor_row', 'magnitude', 'wanda', 'random']);
    expect(found.halves.map(({ measure }) => measure)).toEqual(['taylor_row', 'wanda']);
    const { sets } = found.ablation;
    expect(sets.map(({ name }) => name)).toEqual(['none', 'chosen by taylor_row', 'random columns']);
    expect(sets[1]?.rows).toBe(found.chosenRows);
    expect(sets[1]?.losses).not.toEqual(sets[0]?.losses);
    expect(readFileSync(`${fileOf('columns')}.report.md`, 'utf8')).toContain('## With columns set to zero');
  });

  test('of coupled channels chooses as training does: the same channels of gate and up', async () => {
    const found = await reportOf('coupled', ['trains=coupled', 'importance.measure=taylor_row']);
    expect(found.unit).toBeUndefined();
    expect(found.halves.map(({ measure }) => measure)).toContain('fisher');
    expect(found.ablation.sets[1]?.rows).toBe(found.chosenRows);
    // Two blocks, each with eight rows of gate, up and v.
    expect(found.chosenRows).toBe(2 * 3 * 8);
  });

  test('goes without classes where there are no labels', async () => {
    writeFileSync(
      join(task.folder, 'text.jsonl'),
      Array.from({ length: 8 }, (_, i) => JSON.stringify({ text: `sample number ${i}` })).join('\n'),
    );
    const found = await reportOf('plain', ['importance.measure=taylor', 'data.train=text.jsonl', 'data.eval=[]']);
    expect(found.classes).toBeUndefined();
    expect(found.ablation.columns).toEqual(['all samples']);
    expect(found.ablation.sets.map(({ name }) => name)).toEqual(['none', 'chosen by taylor', 'random rows']);
  });
});

test('the report of pairs has the loss of pairs: ln 2 for a model that is its own base', async () => {
  const pairs = Array.from({ length: 8 }, (_, i) => ({ prompt: `say ${i}`, chosen: ` word ${i}`, rejected: ' no' }));
  writeFileSync(join(task.folder, 'pairs.jsonl'), pairs.map(pair => JSON.stringify(pair)).join('\n'));
  const found = await reportOf('pairs', ['task=dpo', 'importance.measure=taylor_row', 'data.train=pairs.jsonl', 'data.eval=[]']);
  expect(found.ablation.sets[0]).toMatchObject({ name: 'none', losses: [expect.closeTo(Math.LN2, 5)] });
});

describe('what the scores replace', () => {
  const theirs: [string, string, () => void][] = [
    ['weights of a model', '', () => cpSync(join(task.folder, 'model', 'model.safetensors'), fileOf('theirs'))],
    ['a file of another kind', '', () => writeFileSync(fileOf('theirs'), 'years of work')],
    ['a folder', '', () => mkdirSync(fileOf('theirs'))],
    ['a file in the place of the summary', '.json', () => writeFileSync(`${fileOf('theirs')}.json`, '{"years": "of work"}')],
    ['a file in the place of unfinished scores', '.partial', () => writeFileSync(`${fileOf('theirs')}.partial`, 'years of work')],
    ['a file in the place of the report', '.report.json', () => writeFileSync(`${fileOf('theirs')}.report.json`, '{"measure": 1}')],
    ['a page in the place of the report', '.report.md', () => writeFileSync(`${fileOf('theirs')}.report.md`, '# My report')],
  ];
  test.each(theirs)('is not %s', async (_, ending, put) => {
    put();
    const file = `${fileOf('theirs')}${ending}`;
    const before = statSync(file).isFile() ? readFileSync(file) : undefined;
    const events: WorkerEvent[] = [];
    const recipe = task.recipe('engine=portable', 'importance.measure=magnitude');
    const request = { kind: 'importance', recipe, outputFile: fileOf('theirs'), report: true, context: task.context } as const;
    await expect(runInProcess(request, event => events.push(event))).rejects.toThrow(`${file} is in the place of the scores`);
    expect(statSync(file).isFile() ? readFileSync(file) : undefined).toEqual(before);
    // Nothing was computed or written.
    expect(events).toEqual([]);
    expect(readdirSync(task.folder).filter(name => name.startsWith('theirs'))).toEqual([basename(file)]);
    rmSync(file, { recursive: true });
  });

  test('is what an earlier scoring wrote', async () => {
    await score('again', ['importance.measure=magnitude']);
    const first = readFileSync(fileOf('again'));
    await score('again', ['importance.measure=random']);
    expect(readFileSync(fileOf('again'))).not.toEqual(first);
  });

  test('the cache takes away only files that it wrote', async () => {
    mkdirSync(join(cacheDir, 'scores'), { recursive: true });
    const file = join(cacheDir, 'scores', 'mine.safetensors');
    writeFileSync(file, '');
    // A sparse file, larger than the cache may be, and older than everything in it.
    truncateSync(file, 2 ** 32);
    utimesSync(file, 1, 1);
    await score('cached', ['importance.cache=true', 'importance.measure=activation']);
    expect(existsSync(file)).toBe(true);
    rmSync(file);
  });
});
