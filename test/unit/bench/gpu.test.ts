/** Tests the plan of a measurement on a GPU, and the report with its numbers. */
import { describe, expect, test } from 'vitest';
import { benchConfigs, benchModels, type GpuModel, LORA_RANK } from '../../../bench/bench-models.ts';
import { configure, describe as name } from '../../../bench/configuration.ts';
import { peakOfCard } from '../../../bench/gpu/card-peaks.ts';
import { predictedBytes } from '../../../bench/gpu/gpu.ts';
import { GPU_MODELS, gpuPlan, unitsMatchingLora } from '../../../bench/gpu/gpu-plan.ts';
import { type GpuResults, gpuMarkdown, gpuRatios, resultsName, utilization } from '../../../bench/gpu/gpu-report.ts';
import { Clock, measureAll } from '../../../bench/measurements.ts';
import type { RawRow } from '../../../bench/run-side.ts';
import { elementAt, required } from '../../../trainer/narrow.ts';

const facts = { date: '2026-01-01', cpu: 'a processor', features: [], cores: 2, memoryBytes: 2 ** 34, kernel: 'Linux', versions: {} };

const row = (implementation: RawRow['implementation'], values: Partial<RawRow>): RawRow => ({
  ...configure(implementation, { method: 'lora', model: 'llama3-8b', dtype: 'bfloat16' }),
  ...{ checkpointing: false, threads: 16, secondsPerStep: 1, stepSeconds: [1], peakBytes: 2 ** 34, residentBytes: 0, trainable: 42e6 },
  ...{ cpuShare: 1, loadAverage: 0, losses: [11.5] },
  ...values,
});

describe('plan', () => {
  test('has every pair that the goals need before anything else, and nothing twice', () => {
    const all = gpuPlan({ models: GPU_MODELS, steps: 5, isBrief: false });
    const brief = gpuPlan({ models: GPU_MODELS, steps: 5, isBrief: true });
    expect(all.slice(0, brief.length)).toEqual(brief);
    const named = all.map(({ configuration }) => `${configuration.model} ${name(configuration)}`);
    expect(new Set(named).size).toBe(named.length);
    for (const model of GPU_MODELS)
      for (const [implementation, method, setting] of [
        ['rowtune', 'lora', 'block'],
        ['rowtune', 'columns', 'block'],
        ['pytorch', 'lora', 'checkpointing'],
        ['pytorch', 'lora', 'none'],
      ])
        expect(
          brief.some(
            ({ configuration: one }) =>
              one.model === model && one.method === method && one.setting === setting && one.implementation === implementation,
          ),
        ).toBe(true);
  });

  test('has flash attention, torch.compile and both ranks of every model', () => {
    for (const model of GPU_MODELS) {
      const own = gpuPlan({ models: [model], steps: 5, isBrief: false }).map(({ configuration }) => configuration);
      const settings = own
        .filter(({ implementation }) => implementation === 'pytorch')
        .map(({ setting, attention }) => `${setting} ${attention ?? ''}`.trim());
      expect(settings).toEqual(expect.arrayContaining(['none flash', 'checkpointing flash', 'compile', 'compile+checkpointing']));
      expect(new Set(own.filter(({ method }) => method === 'lora').map(({ r }) => r))).toEqual(new Set([LORA_RANK, 64]));
      expect(own.some(({ method }) => method === 'full')).toBe(model === 'smollm2-1.7b');
    }
  });

  test.each<GpuModel>([...GPU_MODELS, 'tiny'])('%s: its rows come nearest to the parameters of LoRA', model => {
    expect(benchModels[model].rows).toBe(unitsMatchingLora(benchConfigs[model], LORA_RANK, 'rows'));
  });

  test.each(['smollm2', 'gemma'] as const)('%s: its columns come nearest to the parameters of LoRA', model => {
    expect(benchModels[model].columns).toBe(unitsMatchingLora(benchConfigs[model], LORA_RANK, 'columns'));
  });

  test('configurations that do not fit into the time are reported and not started', async () => {
    const planned = gpuPlan({ models: ['tiny'], steps: 1, isBrief: true });
    const sides = {
      folders: {},
      cacheDir: '',
      python: undefined,
      peer: import.meta.filename,
      scripts: '',
      device: 'cpu',
      engine: 'pjrt',
    } as const;
    const theirs = planned.filter(({ configuration }) => configuration.implementation === 'pytorch');
    const found = await measureAll({ sides, planned: theirs, threads: 1, jobs: 1, clock: new Clock(1), until: Date.now() });
    expect(found).toEqual({
      rows: [],
      failures: [],
      left: theirs.map(({ configuration }) => `a tiny Llama, 1 × 32 tokens: ${name(configuration)}`),
    });
  });
});

test('the estimate of a configuration is that of its recipe', () => {
  const bytesOf = (method: 'lora' | 'full') =>
    predictedBytes(configure('rowtune', { method, model: 'tiny', setting: 'block', dtype: 'bfloat16' }), 'gpu');
  expect(bytesOf('full')).toBeGreaterThan(required(bytesOf('lora'), 'an estimate'));
});

describe('cards', () => {
  test.each([
    ['NVIDIA H100 80GB HBM3', 989e12],
    ['NVIDIA GeForce RTX 4090', 165.2e12],
  ])('%s computes %d operations a second', (device, flops) => expect(peakOfCard(device)?.flops).toBe(flops));

  // The PCIe board of an H100 has fewer multiprocessors and a lower clock rate.
  test.each(['NVIDIA GeForce GTX 1080', 'NVIDIA H100 PCIe'])('%s has no peak', device => expect(peakOfCard(device)).toBeUndefined());

  test('names the file of results after the card', () => expect(resultsName('NVIDIA H100 80GB HBM3')).toBe('gpu-h100-80gb-hbm3'));
});

describe('report', () => {
  const rows = [
    row('rowtune', { setting: 'block', secondsPerStep: 0.7, peakBytes: 18e9, flops: 0.5 * 0.7 * 989e12 }),
    row('pytorch', { setting: 'checkpointing', secondsPerStep: 1.2, peakBytes: 32e9 }),
    row('pytorch', { setting: 'checkpointing', attention: 'flash', secondsPerStep: 1, peakBytes: 32e9 }),
    row('pytorch', { setting: 'none', secondsPerStep: 0.8, peakBytes: 60e9 }),
    row('pytorch', { setting: 'checkpointing', r: 64, trainable: 168e6, secondsPerStep: 0.1, peakBytes: 32e9 }),
  ];
  const results: GpuResults = {
    ...{ facts, device: 'NVIDIA H100 80GB HBM3', steps: 5, models: GPU_MODELS, rows, predicted: new Map([[elementAt(rows, 0), 17.1e9]]) },
    operations: { passed: 60, failed: ['exp of zero: value deviates by 1e-2'], left: 3, seconds: 40 },
    ...{ failures: ['PyTorch: out of memory'], left: ['Qwen3-8B, 1 × 2048 tokens: rowtune lora r16'], isTrial: false },
  };

  test('compares with the fastest LoRA of PEFT at the same budget and with the same recomputation', () => {
    const [ratio, ...others] = gpuRatios(rows);
    expect(others).toEqual([]);
    expect(ratio).toMatchObject({
      peer: { attention: 'flash' },
      time: expect.closeTo(0.7),
      memory: expect.closeTo(18 / 32),
      isReached: true,
    });
  });

  test('utilization counts only the operations that the method needs', () => {
    expect(utilization(elementAt(rows, 0), rows, results.device)).toBeCloseTo(0.5);
    expect(utilization(elementAt(rows, 0), rows, 'another card')).toBeUndefined();
  });

  test('says what was checked, measured, predicted, failed and left out', () => {
    const text = gpuMarkdown(results);
    expect(text).toContain('60 passed, 1 failed, in 40 s. 3 more were skipped for lack of time.\n  - exp of zero: value deviates by 1e-2');
    expect(text).toContain('- Model folders, next to Transformers: not run.');
    expect(text).toContain('| rowtune lora r16 dropout 0 block bfloat16 | 42.0 | 0.700 | 2926 | 50% | 16.76 | 15.93 | −5.0% | 11.500 |');
    expect(text).toContain('## Failed\n\n- PyTorch: out of memory');
    expect(text).toContain('## Left out, since the time was over\n\n- Qwen3-8B');
    expect(text).toContain('- Attention as one kernel of the device: it has none.');
    expect(text).toContain('- Attention of ours is computed in chunks');
    expect(text).not.toContain('unmeasured');
    const attention = { passed: 8, failed: ['attention: 4 × 256 numbers: the device refuses it'], left: 0, seconds: 20 };
    const withKernel = gpuMarkdown({ ...results, attention, rows: rows.map((each, i) => ({ ...each, fusesAttention: i === 0 })) });
    expect(withKernel).toContain('next to chunks: 8 passed, 1 failed, in 20 s.\n  - attention: 4 × 256 numbers: the device refuses it');
    expect(withKernel).toContain('Attention of ours is one kernel of cuDNN in 1 of 1 lines');
    expect(gpuMarkdown({ ...results, isTrial: true })).toContain('GPU: unmeasured.');
  });
});
