/** Tests the tables of the compare page: recipes that differ, results, and their order. */
import { describe, expect, test } from 'vitest';
import { parseRecipeFile } from '../../../client/pages/run-files.ts';
import { recipeRows } from '../../../media/compare/recipe-difference.ts';
import { bestOf, resultColumns, sortedPlaces } from '../../../media/compare/results.ts';
import { metricRows, valuesByStep } from '../../../media/compare/values.ts';
import { RunModel } from '../../../media/shared/run-model.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { stringifyRecipe } from '../../../trainer/protocol/recipe/stringify-recipe.ts';
import type { RecipeEntry, SummaryView } from '../../../trainer/protocol/view/run.ts';

const recipe = (settings: Record<string, string>): RecipeEntry[] =>
  Object.entries(settings).map(([key, value]) => ({ key, value, isDefault: false, doc: `about ${key}` }));

describe('recipes', () => {
  test('a setting differs if the values of two runs differ, or one run lacks it', () => {
    const rows = recipeRows([
      recipe({ model: 'm', method: 'spsft', r: '16' }),
      recipe({ model: 'm', method: 'lora', r: '16', lora_alpha: '8' }),
    ]);
    expect(rows.map(({ key, values, differs }) => [key, ...values, differs])).toEqual([
      ['model', 'm', 'm', false],
      ['method', 'spsft', 'lora', true],
      ['r', '16', '16', false],
      ['lora_alpha', undefined, '8', true],
    ]);
    expect(rows[0]?.doc).toBe('about model');
  });

  test('the folder of a run is no difference, nor is a recipe that is not loaded yet', () => {
    const rows = recipeRows([recipe({ output_dir: 'a', seed: '1' }), undefined, recipe({ output_dir: 'b', seed: '1' })]);
    expect(rows.filter(({ differs }) => differs)).toEqual([]);
    expect(recipeRows([undefined])).toEqual([]);
  });
});

describe('recipes of two methods', () => {
  test('a setting that a method does not read has no value, even if the run stored its default', () => {
    const stored = (method: string): string => {
      const { recipe } = parseRecipe(`model: m\nmethod: ${method}\ndata: { train: train.jsonl, prompt: "{text}" }\n`);
      return stringifyRecipe(recipe ?? expect.fail(`the recipe of ${method} is valid`));
    };
    const rows = recipeRows(['spsft', 'lora'].map(method => parseRecipeFile(stored(method)).entries));
    const valuesOf = (key: string) => rows.find(row => row.key === key)?.values;
    expect(valuesOf('importance.measure')).toEqual([expect.any(String), undefined]);
    expect(valuesOf('lora_alpha')).toEqual([undefined, expect.any(String)]);
    expect(valuesOf('seed')).toEqual([expect.any(String), expect.any(String)]);
  });
});

describe('values', () => {
  const run = (columns: Record<string, (number | null)[]>): RunModel => {
    const made = new RunModel();
    made.apply({ type: 'metrics', reset: true, length: columns.step?.length ?? 0, columns });
    return made;
  };
  const a = run({ step: [1, 2, 4], loss: [3, 2, 1] });
  const b = run({ step: [2, 3], loss: [5, 4], eval_loss: [null, 6] });

  test('are listed for every step at which a run has the number', () => {
    const { steps, columns } = valuesByStep([a, b], 'loss');
    expect(steps).toEqual([1, 2, 3, 4]);
    expect(columns.map(column => steps.map(step => column.get(step)))).toEqual([
      [3, 2, undefined, 1],
      [undefined, 5, 4, undefined],
    ]);
  });

  test('all numbers of all runs, a line each', () => {
    b.givenName = 'b';
    const [head, ...lines] = metricRows([{ runDir: '/b', model: b }]);
    expect(head?.slice(0, 6)).toEqual(['run', 'folder', 'step', 'epoch', 'loss', 'eval_loss']);
    expect(lines.map(line => line.slice(0, 6))).toEqual([
      ['b', '/b', 2, undefined, 5, undefined],
      ['b', '/b', 3, undefined, 4, 6],
    ]);
  });
});

describe('results', () => {
  const summary: SummaryView = {
    state: 'finished',
    checkpoint: null,
    steps: 2,
    totalSteps: 2,
    before: null,
    forgetting: { base: 3, tuned: 3.5, divergence: 0.25, targets: 900 },
    after: { loss: 0.25, samples: 9, labels: { accuracy: 0.9, majority: 0.5, confusion: {} }, measures: { f1: 0.8 } },
    trainable: 100,
    trainableShare: 0.01,
    secondsPerStep: 2,
    tokensPerSecond: 50,
    memory: { mem_M: 10, mem_FT: 2, mem_Aux: 3, mem_TTL: 15, mem: 5 },
    engine: 'TensorFlow',
    recompute: 'none',
  };
  const model = (patch: (run: RunModel) => void): RunModel => {
    const run = new RunModel();
    patch(run);
    return run;
  };
  const ended = model(run => {
    run.apply({
      type: 'metrics',
      reset: true,
      length: 3,
      columns: {
        step: [0, 1, 2],
        loss: [null, 3, 1],
        seconds: [null, 2, 2],
        eval_loss: [5, null, 0.5],
        eval_accuracy: [0.5, null, 0.7],
        eval_f1: [0.1, null, 0.3],
      },
    });
    run.apply({ type: 'summary', summary });
  });
  const begun = model(run =>
    run.apply({ type: 'metrics', reset: true, length: 1, columns: { step: [0], eval_loss: [5], eval_accuracy: [0.5] } }),
  );
  const valuesOf = (id: string) => resultColumns([ended, begun]).find(column => column.id === id)?.values;

  test('final results replace the last metrics, and unknown values are empty', () => {
    expect(valuesOf('loss')).toEqual([1, undefined]);
    expect(valuesOf('mean_loss')).toEqual([2, undefined]);
    expect(valuesOf('eval_loss')).toEqual([0.25, undefined]);
    expect(valuesOf('eval_accuracy')).toEqual([0.9, undefined]);
    expect(valuesOf('eval_f1')).toEqual([0.8, undefined]);
    expect(valuesOf('forgotten')).toEqual([0.5, undefined]);
    expect(valuesOf('divergence')).toEqual([0.25, undefined]);
    expect(valuesOf('train_seconds')).toEqual([4, undefined]);
    expect(valuesOf('memory')).toEqual([5, undefined]);
    expect(valuesOf('trainable')).toEqual([100, undefined]);
  });

  test('a column without values is left out', () => expect(valuesOf('memory_peak_bytes')).toBeUndefined());

  test('the best, by what is good', () => {
    expect([...bestOf({ values: [3, 1, undefined, 1], better: 'low' })]).toEqual([1, 3]);
    expect([...bestOf({ values: [3, 1], better: 'high' })]).toEqual([0]);
    expect([...bestOf({ values: [2, 2], better: 'low' })]).toEqual([]);
    expect([...bestOf({ values: [3, 1] })]).toEqual([]);
  });
});

describe('order', () => {
  test.each([
    [[3, undefined, 1, 2], 'ascending', [2, 3, 0, 1]],
    [[3, undefined, 1, 2], 'descending', [0, 3, 2, 1]],
    [['run-10', 'run-9', undefined], 'ascending', [1, 0, 2]],
    [[1, 1, 1], 'descending', [0, 1, 2]],
  ] as const)('%o %s', (values, direction, places) => expect(sortedPlaces(values, direction)).toEqual(places));
});
