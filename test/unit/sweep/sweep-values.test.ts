/** Tests the values of the runs of a sweep. */
import { describe, expect, test } from 'vitest';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { runRecipe, sweepRecipe, sweepRuns, unitOfRuns } from '../../../trainer/sweep/sweep-plan.ts';

const source = (sweep: string, more = '') => ({
  text: `model: m\ndata: {train: a.jsonl, eval: b.jsonl}\n${more}sweep: {${sweep}}\n`,
  fileName: 'x.rowtune.yaml',
  baseDir: '/data',
  overrides: [],
});
const runsOf = (sweep: string, more = '') => sweepRuns(sweepRecipe(source(sweep, more)));

describe('grid', () => {
  test('every combination, the last setting changing fastest', () => {
    expect(runsOf('over: {r: [8, 16], method: [spsft, lora]}')).toEqual([
      { r: 8, method: 'spsft' },
      { r: 8, method: 'lora' },
      { r: 16, method: 'spsft' },
      { r: 16, method: 'lora' },
    ]);
  });

  test('points of a range by ratio or difference, both ends included; seeds count up', () => {
    expect(runsOf('over: {learning_rate: {min: 1.0e-5, max: 1.0e-3, count: 3}}')).toEqual(
      [1e-5, 1e-4, 1e-3].map(learning_rate => ({ learning_rate })),
    );
    expect(runsOf('over: {weight_decay: {min: 0, max: 0.3, count: 4, scale: linear}}')).toEqual(
      [0, 0.1, 0.2, 0.3].map(weight_decay => ({ weight_decay })),
    );
    expect(runsOf('over: {r: {min: 4, max: 64, count: 5}}')).toEqual([4, 8, 16, 32, 64].map(r => ({ r })));
    expect(runsOf('over: {data_seed: {count: 3}}', 'data_seed: 7\n')).toEqual([7, 8, 9].map(data_seed => ({ data_seed })));
  });
});

describe('random', () => {
  const random = (count: number, seed: number) =>
    runsOf(`strategy: random, max_runs: ${count}, seed: ${seed}, over: {learning_rate: {min: 1.0e-5, max: 1.0e-1}, r: [8, 16, 32]}`);

  test('the same seed gives the same runs, another seed others', () => {
    expect(random(20, 1)).toEqual(random(20, 1));
    expect(random(20, 1)).not.toEqual(random(20, 2));
  });

  test('runs differ, stay in their ranges, and cover each part of a range once', () => {
    const runs = random(16, 3);
    expect(new Set(runs.map(run => JSON.stringify(run))).size).toBe(16);
    // Four decades in 16 parts: a Latin hypercube has one value in each; rounding to 3 digits may cross a border.
    const parts = runs.map(({ learning_rate }) => Math.floor((Math.log10(Number(learning_rate)) + 5) * 4));
    expect(new Set(parts).size).toBeGreaterThanOrEqual(15);
    expect(runs.every(({ learning_rate }) => Number(learning_rate) >= 1e-5 && Number(learning_rate) <= 1e-1)).toBe(true);
    const counts = [8, 16, 32].map(r => runs.filter(run => run.r === r).length);
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(4);
  });

  test('no more combinations than exist; a small space is tried completely', () => {
    expect(runsOf('strategy: random, max_runs: 50, over: {r: [8, 16], data_seed: {count: 2}}')).toHaveLength(4);
    expect(
      runsOf('strategy: random, max_runs: 50, over: {r: {min: 4, max: 6}}')
        .map(({ r }) => r)
        .sort(),
    ).toEqual([4, 5, 6]);
  });
});

test('a wrong value is reported under its setting', () => {
  for (const [over, message] of [
    ['{learning_rate: [1.0e-3, oops]}', "'sweep.over.learning_rate' must be a number above 0"],
    ['{learning_rate: {min: 1.0e-5, max: 1000}}', "'sweep.over.learning_rate.max' must be"],
    ['{lerning_rate: [1.0e-3]}', "'sweep.over' can't be 'lerning_rate'; did you mean 'learning_rate'?"],
  ] as const)
    expect(() => runsOf(`over: ${over}`)).toThrow(message);
});

describe('the recipe of a run', () => {
  const plan = { source: { ...source('over: {method: [spsft, lora]}'), overrides: ['learning_rate='] }, name: 'spam' };

  test('has the defaults of its own values, and no sweep', () => {
    const recipe = runRecipe(plan, { id: '002', settings: { method: 'lora' }, fixed: ['recompute=cheap'] });
    expect(recipe).toMatchObject({ method: 'lora', learning_rate: 2e-4, r: 16, recompute: 'cheap', name: 'spam 002', sweep: {} });
    expect(recipe.data.train).toEqual(['/data/a.jsonl']);
    const alone = parseRecipe(
      'model: m\ndata: {train: /data/a.jsonl, eval: /data/b.jsonl}\nmethod: lora\nrecompute: cheap\nname: spam 002\n',
    );
    expect(recipe).toEqual(alone.recipe);
  });

  test('values that do not fit each other are refused with their run', () => {
    expect(() => runRecipe(plan, { id: '003', settings: { packing: true, max_steps: 0 }, fixed: [] })).toThrow(
      /^run 003 \(packing true, max_steps 0\): /,
    );
  });
});

describe('what the runs of a sweep train', () => {
  test.each([
    ['importance.measure: [wanda, random]', ['rows', 'rows']],
    ['importance.selection: [per_layer, global]', ['rows', 'rows']],
    ['importance.heads: [true, false]', ['rows', 'rows']],
    ['importance.samples: [4, 8]', ['rows', 'rows']],
    ['dependencies: [true, false]', ['rows', 'rows']],
    ['learning_rate: [0.001, 0.002]', ['columns', 'columns']],
    ['trains: [rows, columns]', ['rows', 'columns']],
    ['method: [lora, spsft]', ['rows', 'columns']],
  ])('%s', (over, units) => {
    const plan = { source: source(`over: {${over}}`), name: 'sweep' };
    const fixed = unitOfRuns(sweepRecipe(plan.source));
    const runs = runsOf(`over: {${over}}`).map((settings, i) => runRecipe(plan, { id: String(i), settings, fixed }));
    expect(runs.map(({ trains }) => trains)).toEqual(units);
  });
});
