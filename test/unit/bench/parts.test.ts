/** Tests the parts other than the frontier: their plans, and the reports with their numbers. */
import { appendFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { configure } from '../../../bench/configuration.ts';
import { fitLine } from '../../../bench/line-fit.ts';
import { LENGTHS, longPlan } from '../../../bench/long.ts';
import { Clock, MeasurementStore } from '../../../bench/measurements.ts';
import { paperModels } from '../../../bench/memory/memory-models.ts';
import { distance, NOISE, type PrecisionResult, precisionMarkdown, precisionPicture, REFERENCE } from '../../../bench/precision.ts';
import { comparePreferences, preferenceCases, preferencesMarkdown } from '../../../bench/preferences/preferences.ts';
import type { RawRow } from '../../../bench/run-side.ts';
import { serveMarkdown } from '../../../bench/serve/serve.ts';
import { memoryFit, SWEEPS, sweepMarkdown, sweepPicture } from '../../../bench/sweep.ts';
import { loadMarkdown } from '../../../bench/true-size/load.ts';
import { layersThatFit, writeSyntheticFolder } from '../../../bench/true-size/synthetic-folder.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { loadModel, weightMismatches } from '../../../trainer/model/load-model.ts';
import { elementAt } from '../../../trainer/narrow.ts';

const facts = { date: '2026-01-01', cpu: 'a processor', features: [], cores: 2, memoryBytes: 2 ** 34, kernel: 'Linux', versions: {} };

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'rowtune-bench-'));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('a fitted line', () => {
  test('through points on one line has R² = 1', () => {
    const { slope, intercept, r2 } = fitLine([1, 2, 5].map(x => [x, 3 + 2 * x]));
    expect([slope, intercept, r2]).toEqual([expect.closeTo(2), expect.closeTo(3), expect.closeTo(1)]);
  });

  test.each([0.5, 1, 2])('through x to the power %d has that exponent', power => {
    expect(fitLine([1, 2, 4, 8].map(x => [x, 3 * x ** power])).exponent).toBeCloseTo(power);
  });

  test('has R² = 0 for points that go up and down, and R² = 1 for constant ones', () => {
    expect(
      fitLine([
        [1, 1],
        [2, 2],
        [3, 1],
      ]).r2,
    ).toBeCloseTo(0);
    expect(
      fitLine([
        [1, 4],
        [2, 4],
      ]),
    ).toMatchObject({ slope: 0, r2: 1, exponent: 0 });
  });

  test('needs two sizes', () => {
    expect(() => fitLine([[1, 2]])).toThrow(/two sizes/);
  });
});

test('sweeps vary one thing, and the report has a line of each', () => {
  for (const { values, at } of SWEEPS) {
    const [first = 0, ...rest] = values;
    const start = Object.entries(at(first));
    const varied = new Set(
      rest.flatMap(value =>
        start.filter(([key, is]) => Object.entries(at(value)).some(([k, v]) => k === key && v !== is)).map(([key]) => key),
      ),
    );
    expect(varied.size).toBe(1);
  }
  const results = SWEEPS.map(({ name, unit, values }) => ({
    name,
    unit,
    points: values.map(value => ({ value, secondsPerStep: value / 100, bytes: value * 2 ** 20 })),
  }));
  expect(memoryFit(elementAt(results, 0))).toMatchObject({ r2: expect.closeTo(1), exponent: expect.closeTo(1) });
  const text = sweepMarkdown(results, { facts, threads: 1, notes: [] });
  for (const { name } of SWEEPS) expect(text).toContain(`| ${name} |`);
  expect(sweepPicture(results)).not.toContain('NaN');
});

test('long context: each length has inference of both sides, PEFT with checkpointing, and ours by level', () => {
  for (const tokens of LENGTHS) {
    const own = longPlan(5).filter(({ configuration }) => configuration.tokens === tokens);
    expect(own.filter(({ configuration: { method } }) => method === 'inference')).toHaveLength(2);
    expect(own.some(({ configuration: { implementation, setting } }) => implementation === 'pytorch' && setting === 'checkpointing')).toBe(
      true,
    );
    expect(own.map(({ configuration: { setting } }) => setting)).toEqual(expect.arrayContaining(['cheap', 'block', 'sqrt']));
    expect(own.every(({ configuration: { batch } }) => batch === 1)).toBe(true);
  }
});

describe('precision report', () => {
  const result = (name: string, losses: readonly number[]): PrecisionResult => ({
    name,
    losses: losses.map((loss, i) => ({ step: 40 * i, loss })),
    secondsPerStep: 1,
    modelBytes: 2 ** 20,
    trainingBytes: 2 ** 21,
  });
  const [reference, noise] = [result(REFERENCE, [3, 2, 1]), result(NOISE, [3, 2.1, 1.1])];

  test('the distance of two loss curves is the mean over their steps, without the first', () => {
    expect(distance(reference, noise)).toBeCloseTo(0.1);
  });

  test('bfloat16 is within noise if it differs less than another order of the samples does', () => {
    const text = (half: PrecisionResult) => precisionMarkdown([reference, noise, half], { facts, steps: 80, threads: 1, notes: [] });
    expect(text(result('bfloat16', [3, 2.05, 0.98]))).toContain('within noise');
    expect(text(result('bfloat16', [3, 2.5, 1.5]))).toContain('beyond noise');
    expect(precisionPicture([reference, noise])).not.toContain('NaN');
  });
});

describe('load', () => {
  test('takes as many layers as disk and memory have room for', () => {
    expect(layersThatFit(paperModels['Llama-2-7B'], { diskBytes: 1e12, memoryBytes: 1e12 })).toBe(32);
    expect(layersThatFit(paperModels['Llama-2-7B'], { diskBytes: 10e9, memoryBytes: 1e12 })).toBeLessThan(32);
    expect(layersThatFit(paperModels['Llama-2-7B'], { diskBytes: 1e12, memoryBytes: 10e9 })).toBeLessThan(32);
    expect(layersThatFit(paperModels['Llama-2-7B'], { diskBytes: 0, memoryBytes: 0 })).toBe(1);
  });

  test('writes a model folder that opens and matches its config', () =>
    inFolder(async folder => {
      const config = {
        architectures: ['LlamaForCausalLM'],
        ...{
          hidden_size: 16,
          intermediate_size: 24,
          num_attention_heads: 2,
          num_key_value_heads: 2,
          vocab_size: 32,
          max_position_embeddings: 8,
        },
        ...{ rms_norm_eps: 1e-5, tie_word_embeddings: false },
      };
      const bytes = await writeSyntheticFolder(folder, { ...config, num_hidden_layers: 3 });
      expect((await readdir(folder)).filter(name => name.endsWith('.safetensors'))).toHaveLength(4);
      const { config: read, weights } = await openModel(folder);
      try {
        expect(weightMismatches(loadModel(read), weights.tensors)).toEqual([]);
        const values = await weights.readFloat32('model.layers.2.mlp.up_proj.weight');
        expect(values.every(value => Math.abs(value) > 0.003 && Math.abs(value) < 0.02)).toBe(true);
        expect([...weights.tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0)).toBe(bytes);
      } finally {
        await weights.close();
      }
    }));

  test('the report names a model smaller than requested, and the share of the speed of plain reading', () => {
    const plain = { seconds: 10, cpuSeconds: 4 };
    const load = {
      form: 'bfloat16',
      seconds: 20,
      cpuSeconds: 9,
      heapBytes: 3e8,
      largestTensorBytes: 5e8,
      residentBytes: 5e9,
      loss: 1,
      plain,
    };
    const text = loadMarkdown({ facts, threads: 2, layers: 8, bytes: 4e9, fromDisk: true, loads: [load] });
    expect(text).toContain('8 of its 32 layers');
    expect(text).toContain('| loading as bfloat16 | 20.0 | 0.20 | 50% | 9.0 | 300 | 5.0 |');
  });
});

describe('measurements', () => {
  const row: RawRow = {
    ...configure('rowtune', { method: 'spsft' }),
    checkpointing: false,
    threads: 1,
    secondsPerStep: 2,
    stepSeconds: [2],
    peakBytes: 0,
    residentBytes: 0,
    trainable: 1,
    cpuShare: 1,
    loadAverage: 0,
    losses: [1],
  };

  test('are found again when a run resumes, except a line that was cut off', () =>
    inFolder(async folder => {
      const file = path.join(folder, 'bench', 'measured.jsonl');
      new MeasurementStore(file, false).keep('a', row);
      await appendFile(file, '\n{"key": "b", "ro');
      const again = new MeasurementStore(file, true);
      expect(again.find('a')).toEqual(row);
      expect(again.find('b')).toBeUndefined();
      expect(new MeasurementStore(file, false).find('a')).toBeUndefined();
      again.keep('c', row);
      expect(new MeasurementStore(file, true).find('c')).toEqual(row);
    }));

  test('the clock starts with the estimated time, divided by the runs at the same time', () => {
    const clock = new Clock(100, 2);
    expect(clock.left()).toBe(50);
    clock.advance(100);
    expect(clock.left()).toBe(0);
  });
});

test("the report of serving compares each side's median rates with ours", () => {
  const row = { form: 'float32', parallel: 4, read: [90, 110, 100], residentBytes: 2 ** 30 };
  const rows = [
    { ...row, side: 'rowtune', written: [30, 44, 40], processorMs: [20, 30, 25] },
    { ...row, side: 'llama.cpp', written: [80, 70, 90], processorMs: [10, 11, 10] },
  ] as const;
  const text = serveMarkdown({ facts, threads: 1, file: 'model.gguf', rounds: 3, load: 0.1, rows });
  expect(text).toContain('| float32, rowtune | 4 | 100 | 40.0 | 25.0 |  |  | 1024 |');
  expect(text).toContain('| float32, llama.cpp | 4 | 100 | 80.0 | 10.0 | 0.50 | 0.40 | 1024 |');
});

describe('preferences', () => {
  const MIB = 2 ** 20;
  const measured = { residentBytes: 900 * MIB, trainable: 5000, stepSeconds: [3, 1, 2], cpuSeconds: 5.4, losses: [Math.LN2], logps: -900 };
  const rows = preferenceCases.map((one, i) => ({
    ...one,
    ...measured,
    peakBytes: (one.method === undefined ? 1000 : one.side === 'trl' ? 3000 : 1500) * MIB,
    stepSeconds: one.side === 'trl' ? [8, 2, 4] : [3, 1, 2],
    referenceSeconds: one.reference === 'cached' ? 10.5 : null,
    loadAverage: i / 10,
  }));
  const results = { facts, threads: 2, steps: 3, rows, notes: [] };

  test("each configuration of Rowtune is compared with TRL's equivalent, and memory is counted above inference", () => {
    const text = preferencesMarkdown(results);
    expect(text).toContain('| Rowtune SPSFT, live reference, cheap | 2.00 | – | 500 | 1500 | – | 5,000 | 45% | 0.2 |');
    expect(text).toContain('| TRL LoRA, reference precomputed | 4.00 | 10.5 | 2000 | 3000 | – | 5,000 | 19% | 0.9 |');
    const ratios = text.split('\n').filter(line => line.includes(' / TRL LoRA'));
    expect(ratios).toHaveLength(6);
    for (const line of ratios) expect(line).toMatch(/\| 0\.50 \| 0\.25 \| 0\.50 \|$/);
    expect(ratios.filter(line => line.includes('block'))).toEqual(ratios.filter(line => line.includes('checkpointing')));
  });

  test('sides that computed different losses are reported', () => {
    expect(comparePreferences(rows)).toEqual([]);
    const strays = rows.map(row =>
      row.side === 'trl' && row.recompute === 'checkpointing' ? { ...row, logps: -901, losses: [0.7] } : row,
    );
    expect(comparePreferences(strays)).toEqual([
      expect.stringMatching(/^TRL LoRA, reference in the step, checkpointing: .* -901, and -900 in Rowtune SPSFT, live reference, cheap$/),
      expect.stringContaining('starts at loss 0.7, not at log 2'),
    ]);
  });
});
