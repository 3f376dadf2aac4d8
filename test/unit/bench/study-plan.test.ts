/**
 * Tests the study: its plan is fair and complete, its statistics equal SciPy's, it continues and stops when it should, and its page counts
 * its runs.
 */
import { describe, expect, test } from 'vitest';
import {
  type ArmName,
  armNames,
  arms,
  DEFAULT_OF_LORA,
  defaultArms,
  defaultOfSpsft,
  LORA,
  RANDOM_ROWS,
} from '../../../bench/study/arms.ts';
import { compareOverTasks, compareWith, rowsByTask } from '../../../bench/study/compare.ts';
import { recipeOf } from '../../../bench/study/jobs.ts';
import { isBeside } from '../../../bench/study/machine-load.ts';
import { memoryFigureName, memoryFigures, pointOf } from '../../../bench/study/memory-figures.ts';
import { studyPage } from '../../../bench/study/page.ts';
import {
  fixedRateOf,
  hasArm,
  parts,
  planOf,
  planOfRow,
  SEEDS,
  settingsOf,
  TUNING_SEED,
  tasks,
  tinyTask,
} from '../../../bench/study/plan.ts';
import { TimeIsUp } from '../../../bench/study/pool.ts';
import { bestOf, neighborRate, nextRates, type RateResult, TRIALS } from '../../../bench/study/rates.ts';
import type { StudyRow } from '../../../bench/study/rows.ts';
import { holm, pairedTest, twoSidedP } from '../../../bench/study/statistics.ts';
import { runStudy, type StudyParams } from '../../../bench/study/study.ts';
import { questions } from '../../../scripts/study/arithmetic.mjs';
import { measureNames } from '../../../trainer/catalog/measures.ts';
import { objectiveCatalog } from '../../../trainer/catalog/objectives.ts';
import { elementAt } from '../../../trainer/narrow.ts';

describe('plan', () => {
  test('every arm of every task is in exactly one part, and every recipe is valid', () => {
    for (const task of tasks) {
      const own = parts.filter(part => part.task.name === task.name).flatMap(({ arms }) => arms);
      expect([...own].sort()).toEqual(armNames.filter(arm => !arms[arm].isPast && hasArm(task, arm)).sort());
      for (const arm of own) {
        const settings = settingsOf({ task, arm, purpose: 'test', learningRate: 1e-3, seed: 2 });
        expect(() => recipeOf({ model: 'm', 'data.train': 't', 'data.eval': 'e', ...settings })).not.toThrow();
      }
    }
  });

  test('every measure is an arm, random rows among them', () => {
    expect(armNames.filter(name => name.startsWith('rows, ')).sort()).toEqual(measureNames.map(name => `rows, ${name}`).sort());
    expect(armNames).toContain(RANDOM_ROWS);
  });

  test('arms at the defaults equal a recipe without these settings', () => {
    for (const task of tasks) {
      const said = { model: 'm', 'data.train': 't', task: task.settings.task ?? '' };
      const kind = objectiveCatalog[recipeOf(said).task].model;
      for (const [method, arm] of [
        ['spsft', defaultOfSpsft[kind]],
        ['lora', DEFAULT_OF_LORA],
      ] as const) {
        const given = recipeOf({ ...said, method });
        const own = recipeOf({ ...said, ...arms[arm].settings({ lora: 1, spsft: 1, columns: 1 }) });
        const choice = ({ trains, importance }: typeof given) => (method === 'spsft' ? [trains, importance.measure] : []);
        expect(choice(own), task.name).toEqual(choice(given));
        expect(fixedRateOf(task, arm), task.name).toBe(given.learning_rate);
      }
    }
  });

  test('the seed that tunes learning rates is not a test seed, and tiny tasks have plans of their own', () => {
    expect(SEEDS).not.toContain(TUNING_SEED);
    expect(new Set([...tasks, ...tasks.map(tinyTask)].map(each => planOf(each))).size).toBeGreaterThan(tasks.length);
    for (const task of tasks) expect(planOf(tinyTask(task))).not.toBe(planOf(task));
  });
});

describe('loss against memory', () => {
  const task = elementAt(tasks, 0);
  const row = (arm: ArmName, seed: number, loss: number, memoryBytes: number): StudyRow => ({
    ...{ task: task.name, plan: planOf(task, arm), base: 'b', arm, purpose: 'test', learningRate: 1e-3, seed, memoryBytes },
    ...{ trainable: 1, parameters: 2, steps: 3, samples: 4, seconds: 5, threads: 1, machine: 'm', date: '2026-11-28' },
    result: { loss },
  });

  const allSeeds = (arm: ArmName, memoryBytes: number) => SEEDS.map(seed => row(arm, seed, seed / 2, memoryBytes));

  test('a point is the mean over seeds, and a panel needs two arms that have all of them', () => {
    const one = allSeeds(LORA, 5e6);
    const [found] = rowsByTask(tasks, one);
    expect(found && pointOf(found, LORA)).toEqual({ x: 5, y: 2 });
    expect(memoryFigures(one).size).toBe(0);
    const few = row('rows, wanda', 2, 1, 4e6);
    expect(memoryFigures([...one, few]).size).toBe(0);
    const more = [...allSeeds(RANDOM_ROWS, 4e6), ...allSeeds('lora, default rate', 5e6), few];
    const svg = memoryFigures([...one, ...more]).get(memoryFigureName(0)) ?? '';
    expect(svg).not.toContain('>rows, wanda<');
    expect(svg).toContain(`>${RANDOM_ROWS}<`);
    expect(svg).toContain(`>${LORA}<`);
    expect(svg).not.toContain('lora, default rate');
  });

  test('its page shows the figures that are written', () => {
    const rows = [...allSeeds(LORA, 5e6), ...allSeeds(RANDOM_ROWS, 4e6)];
    expect(memoryFigures(rows).size).toBe(1);
    for (const name of memoryFigures(rows).keys()) expect(studyPage(rows)).toContain(`(${name})`);
  });
});

test('the arithmetic has one right answer each, and no held-out question has the numbers of another', () => {
  const { train, heldOut } = questions();
  const numbers = ({ prompt }: { prompt: string }) => [...prompt.matchAll(/\d+/g)].map(([digits]) => Number(digits));
  const task = tasks.find(({ data }) => data === 'arithmetic');
  expect(train.length).toBeGreaterThanOrEqual((task?.samples.tune ?? 0) + (task?.samples.validate ?? 0));
  expect(heldOut.length).toBeGreaterThanOrEqual(task?.samples.test ?? 0);
  for (const question of [...train, ...heldOut]) {
    const [a = 0, b = 0, ...more] = numbers(question);
    expect(more).toEqual([]);
    const isSum = /buys|Tuesday/.test(question.prompt);
    expect(Number(question.completion), question.prompt).toBe(isSum ? a + b : a - b);
  }
  const all = [...train, ...heldOut].map(question =>
    numbers(question)
      .sort((a, b) => a - b)
      .join(),
  );
  expect(new Set(all).size).toBe(all.length);
});

describe('columns and coupled channels', () => {
  const kept = 'minilm-mails';
  const known = tasks.find(({ name }) => name === kept) ?? elementAt(tasks, 0);

  test('their budget changes the plan of their own arms alone, so runs of the others stay', () => {
    const other = { ...known, units: { columns: 17, coupled: 36 } };
    expect(planOf(known, LORA)).toBe(planOf(known));
    expect(planOf(other, LORA)).toBe(planOf(known, LORA));
    expect(planOf(other, 'channels, wanda')).toBe(planOf(known, 'channels, wanda'));
    expect(planOf(other, 'columns, wanda')).not.toBe(planOf(known, 'columns, wanda'));
  });

  // With these shapes, every linear layer is a target, and the heads of MiniLM and the ViT are new.
  test.each([
    ['MiniLM', known, { layers: 6, hidden: 384, inner: 1536, values: 384, gated: false, bias: 1, ofLora: 331_776 }],
    [
      'SmolLM2',
      tasks.find(({ base }) => base === 'smollm2') ?? known,
      { layers: 30, hidden: 576, inner: 1536, values: 192, gated: true, bias: 0, ofLora: 2_442_240 },
    ],
    [
      'the ViT',
      tasks.find(({ base }) => base === 'vit') ?? known,
      { layers: 4, hidden: 64, inner: 128, values: 64, gated: false, bias: 1, ofLora: 14_336 },
    ],
  ])('%s trains as many numbers by columns, by channels and by LoRA, within 5%%', (_, { units }, shape) => {
    const { layers, hidden, inner, values, gated, bias, ofLora } = shape;
    const makers = gated ? 2 : 1;
    const columns = layers * (2 * hidden + 2 * values + makers * inner + hidden) * (units?.columns ?? 0);
    const perChannel = makers * (hidden + bias) + hidden;
    const perValue = hidden + bias + (hidden / values) * hidden;
    const coupled = layers * (perChannel + perValue) * (units?.coupled ?? 0);
    for (const count of [columns, coupled]) expect(Math.abs(count / ofLora - 1)).toBeLessThan(0.05);
  });
});

test("a run counts as disturbed if the machine was busier than the study's own workers", () => {
  expect(isBeside({ others: 10, seconds: 10, siblings: 1 })).toBe(false);
  expect(isBeside({ others: 12, seconds: 10, siblings: 1 })).toBe(true);
  expect(isBeside({ others: 1, seconds: 10, siblings: 0 })).toBe(false);
  expect(isBeside({ others: 5, seconds: 10, siblings: 0 })).toBe(true);
});

describe('learning rates', () => {
  test('are a quarter of a decade apart, with two digits', () => {
    expect([-2, -1, 0, 1, 2, 4].map(steps => neighborRate(1e-3, steps))).toEqual([3.2e-4, 5.6e-4, 1e-3, 1.8e-3, 3.2e-3, 1e-2]);
    expect(neighborRate(5.6e-3, 1)).toBe(1e-2);
  });

  function search(start: number, loss: (rate: number) => number): RateResult[] {
    const tried: RateResult[] = [];
    for (let rates = nextRates(start, tried); rates.length > 0; rates = nextRates(start, tried))
      tried.push(...rates.map(learningRate => ({ learningRate, loss: loss(learningRate) })));
    return tried;
  }

  test.each([
    ['between the first', 1e-3, 1e-3],
    ['a quarter above', 1.8e-3, 1.8e-3],
    ['a decade above', 1e-2, 1e-2],
    ['a decade and a half below', 3.2e-5, 3.2e-5],
    ['out of reach', 1e3, 3.2e-2],
  ])('every search has the same number of trials; a best rate %s is found', (_, best, found) => {
    const tried = search(1e-3, rate => Math.abs(Math.log(rate / best)));
    expect(tried).toHaveLength(TRIALS);
    expect(new Set(tried.map(({ learningRate }) => learningRate)).size).toBe(TRIALS);
    expect(bestOf(tried)?.learningRate).toBe(found);
  });

  test('rates that diverge move the search to lower ones', () => {
    const tried = search(1e-3, rate => (rate > 5e-4 ? Number.POSITIVE_INFINITY : rate));
    expect(tried.map(({ learningRate }) => learningRate)).toEqual([1e-3, 3.2e-4, 3.2e-3, 1e-4, 3.2e-5]);
  });
});

describe('statistics', () => {
  // scipy.stats.t.sf(t, freedom) * 2
  test.each([
    [2.5, 4, 0.06676654481800545],
    [0.3, 9, 0.7709893],
    [12.706204736432095, 1, 0.05],
    [4, 29, 0.00040006394565249173],
  ])('p of t = %f with %i degrees of freedom', (t, freedom, p) => {
    expect(twoSidedP(t, freedom) / p).toBeCloseTo(1, 5);
  });

  test('a paired test: mean, interval, effect and p', () => {
    const found = pairedTest([0.1, 0.3, 0.2, 0.25, 0.4]);
    expect(found?.mean).toBeCloseTo(0.25, 12);
    // scipy.stats.ttest_1samp([.1, .3, .2, .25, .4], 0)
    expect(found?.p).toBeCloseTo(0.0074904, 5);
    // t = 5, critical t 2.776445 → 0.05 × 2.776445.
    expect(found?.margin).toBeCloseTo(0.1388222, 6);
    expect(found?.effect).toBeCloseTo((0.25 / 0.1118034) * 0.8, 5);
    expect(pairedTest([1])).toBeUndefined();
    expect(pairedTest([0, 0, 0])).toMatchObject({ p: 1, effect: 0 });
  });

  test("Holm's p values are those of R's p.adjust", () => {
    expect(holm([0.01, 0.04, 0.03, 0.005]).map(p => Number(p.toFixed(6)))).toEqual([0.03, 0.06, 0.06, 0.02]);
  });
});

const [task] = tasks;
if (task === undefined) throw new Error('the plan has no tasks');

const row = (facts: Partial<StudyRow>): StudyRow => ({
  task: task.name,
  plan: planOf(task),
  base: 'abcdef0123',
  arm: LORA,
  purpose: 'test',
  learningRate: 3.2e-3,
  seed: 2,
  result: { loss: 1, accuracy: 0.8 },
  before: { loss: 2, accuracy: 0.5 },
  trainable: 1000,
  cpuSeconds: 36,
  parameters: 10_000,
  steps: 5,
  samples: 100,
  seconds: 36,
  threads: 1,
  memoryBytes: 2e6,
  machine: 'a machine',
  date: '2026-01-02T00:00:00Z',
  ...facts,
});
const seeds = (arm: string, losses: readonly number[]): StudyRow[] =>
  SEEDS.map((seed, i) => row({ arm, plan: planOfRow(task, arm), seed, result: { loss: losses[i] ?? 1, accuracy: 0.8 } }));

describe('the study', () => {
  /** A worker whose loss depends only on rate and seed. */
  function worker() {
    const asked: string[] = [];
    const ask: StudyParams['ask'] = async request => {
      if (request.kind === 'prepare') return { kind: 'prepare', result: { model: '', base: 'b', train: '', validation: '', test: '' } };
      const { arm, purpose, learningRate, seed } = request.run;
      asked.push(`${arm} ${purpose} ${learningRate} ${seed}`);
      const loss = Math.abs(Math.log(learningRate / 3.2e-3)) + 1 + seed / 100;
      return { kind: 'run', result: row({ base: 'b', arm, purpose, learningRate, seed, result: { loss } }) };
    };
    return { asked, ask };
  }
  const part = { task, arms: [RANDOM_ROWS, LORA] };

  test('runs every trial and every seed at the best rate, and repeats none', async () => {
    const { asked, ask } = worker();
    const rows: StudyRow[] = [];
    const params = { parts: [part], ask, onRow: async (found: StudyRow) => void rows.push(found) };
    expect(await runStudy({ ...params, rows: [] })).toBe(true);
    expect(asked).toHaveLength(2 * (TRIALS + SEEDS.length));
    expect(asked.filter(line => line.includes('test'))).toEqual(part.arms.flatMap(arm => SEEDS.map(seed => `${arm} test 0.0032 ${seed}`)));
    const again = worker();
    expect(await runStudy({ ...params, ask: again.ask, rows: rows.slice(0, 5) })).toBe(true);
    expect(again.asked).toHaveLength(asked.length - 5);
  });

  test('runs arms at the defaults without a search', async () => {
    const { asked, ask } = worker();
    expect(await runStudy({ parts: [{ ...part, arms: defaultArms }], rows: [], ask, onRow: async () => undefined })).toBe(true);
    expect(asked).toEqual(defaultArms.flatMap(arm => SEEDS.map(seed => `${arm} test ${fixedRateOf(task, arm)} ${seed}`)));
  });

  test('reports that time is up, and throws other errors', async () => {
    const { ask } = worker();
    const late: StudyParams['ask'] = async (request, place) => {
      if (request.kind === 'run' && request.run.purpose === 'test') throw new TimeIsUp('the time of the study is up');
      return ask(request, place);
    };
    const params = { parts: [part], rows: [], onRow: async () => undefined };
    expect(await runStudy({ ...params, ask: late })).toBe(false);
    const broken: StudyParams['ask'] = async (request, place) =>
      request.kind === 'run' ? { kind: 'failed', message: 'no model' } : ask(request, place);
    await expect(runStudy({ ...params, ask: broken })).rejects.toThrow('no model');
  });
});

describe('the page', () => {
  const rows = [
    ...seeds(RANDOM_ROWS, [1, 1.1, 0.9, 1, 1.05]),
    ...seeds(LORA, [0.5, 0.6, 0.44, 0.51, 0.5]),
    ...seeds('rows, magnitude', [1.01, 1.0, 0.95, 1, 1.1]),
  ];

  test('compares arms seed by seed', () => {
    const [found] = rowsByTask(tasks, rows);
    const compared = found ? compareWith(found, RANDOM_ROWS) : [];
    expect(compared.map(({ arm }) => arm)).toEqual(['rows, magnitude', LORA]);
    const differences = SEEDS.map((_, i) => Math.log(([0.5, 0.6, 0.44, 0.51, 0.5][i] ?? 0) / ([1, 1.1, 0.9, 1, 1.05][i] ?? 0)));
    const lora = compared.find(({ arm }) => arm === LORA);
    expect(lora?.loss.p).toBeCloseTo(pairedTest(differences)?.p ?? Number.NaN, 12);
    expect(lora?.adjusted).toBeCloseTo(2 * (lora?.loss.p ?? Number.NaN), 12);
    expect(compareOverTasks(found ? [found] : [], RANDOM_ROWS).find(({ arm }) => arm === LORA)).toMatchObject({
      tasks: 1,
      better: 1,
      adjusted: 1,
    });
  });

  test('shows arms at the defaults, and leaves them out of the comparisons', () => {
    const found = [...rows, ...defaultArms.flatMap(arm => seeds(arm, [2, 2, 2, 2, 2]))];
    const text = studyPage(found);
    expect(text).toMatch(/\| `[\w-]+` \| [\d.]+ (\| 2\.000 ){7}\| – \| 0\.510 \|/);
    expect(compareWith(elementAt(rowsByTask(tasks, found), 0), RANDOM_ROWS)).toHaveLength(2);
    expect(studyPage(rows)).not.toContain('At the default rates');
  });

  test('shows means, learning rates and what is missing', () => {
    const rates = [1e-3, 3.2e-3, 1e-2, 3.2e-2, 0.1];
    const tuned = rates.map((learningRate, i) => row({ purpose: 'tune', learningRate, result: { loss: 5 - i } }));
    const text = studyPage([...rows, ...tuned]);
    expect(studyPage([...rows, ...tuned.slice(1)])).not.toContain('lies at an end');
    expect(text).toContain('| lora | 0.510 ± 0.057 | 80.0 ± 0.0 | 1,000 | 0.0032 | 2 | 36.0 |');
    expect(text).not.toContain('| loss on general text |');
    const forgetful = rows.map(one => ({ ...one, forgetting: { loss: 0.1, divergence: 0.02 } }));
    expect(studyPage(forgetful)).toContain(
      '| lora | 0.510 ± 0.057 | 80.0 ± 0.0 | 1,000 | 0.0032 | 2 | 36.0 | 0.100 ± 0.000 | 0.020 ± 0.000 |',
    );
    expect(text).toContain('lies at an end of those tried for lora (0.1)');
    // 2 to 1 next to the best rate, and 3 to 1 beyond.
    expect(text).toContain('| 3.2 times | 100% | 1 |');
    expect(text).toMatch(/\| lora \* \| −0\.68\d ± 0\.0\d+ \|/);
    expect(text).toContain(`- \`${task.name}\`: rows, wanda;`);
    expect(text).toContain('20 runs, 0.2 core hours, 2026-01-02 to 2026-01-02. 20 of them');
  });

  test('leaves out the seconds of runs next to other work, and counts them', () => {
    const text = studyPage([...seeds(LORA, []).slice(1), row({ beside: true, cpuSeconds: 1000 })]);
    expect(text).toMatch(/\| lora \| .* \| 36\.0 \|/);
    expect(text).toContain('those of runs that shared the machine with other work (1) are not shown');
    expect(studyPage(seeds(LORA, []).map(one => ({ ...one, beside: true as const })))).toMatch(/\| lora \| .* \| – \|/);
  });

  test('a run that diverged is named, and runs of another plan are counted but not shown', () => {
    const lost = { ...row({ seed: 6, steps: 0 }), result: undefined };
    const text = studyPage([...seeds(LORA, []).slice(0, 4), lost, row({ plan: 'old', arm: 'full' })]);
    expect(text).toContain('lora (1 diverged and are left out)');
    expect(text).not.toContain('| full');
    expect(text).toContain('6 runs, 0.1 core hours, 2026-01-02 to 2026-01-02. 5 of them');
  });
});
