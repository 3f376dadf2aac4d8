/** Tests the frontier: the planned runs, which of our points is compared with each of theirs, and the counts of the report. */
import { describe, expect, test } from 'vitest';
import { benchConfigs, benchModels, LORA_RANK, MODEL_NAMES } from '../../../bench/bench-models.ts';
import { type Configuration, configure, describe as name } from '../../../bench/configuration.ts';
import { frontierPlan } from '../../../bench/frontier/frontier-plan.ts';
import { goals, verdicts } from '../../../bench/frontier/frontier-ratios.ts';
import { type Frontier, frontierMarkdown, frontierPicture, summaryMarkdown } from '../../../bench/frontier/frontier-report.ts';
import { miniLm } from '../../../bench/memory/memory-models.ts';
import type { Row } from '../../../bench/ratios.ts';
import { RECOMPUTE_POLICIES } from '../../../trainer/graph/recompute.ts';
import { targetModules } from '../../../trainer/method/targets.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import { expertsOf } from '../../../trainer/model/module-specs.ts';
import { rowParameters } from '../../../trainer/selection.ts';

type Choice = Partial<Configuration> & Pick<Configuration, 'method'>;

function row(implementation: Configuration['implementation'], choice: Choice, [secondsPerStep, mebibytes]: readonly [number, number]): Row {
  return {
    ...configure(implementation, choice),
    checkpointing: false,
    threads: 1,
    secondsPerStep,
    stepSeconds: [secondsPerStep],
    memoryBytes: mebibytes * 2 ** 20,
    peakBytes: 2 ** 30,
    residentBytes: 0,
    trainable: 1,
    cpuShare: 1,
    loadAverage: 0,
    losses: [1],
    ...(implementation === 'rowtune' && { flops: 40e9 }),
  };
}

describe('models', () => {
  test.each(MODEL_NAMES)('%s: SPSFT trains the even number of rows that comes nearest to the parameters of LoRA', model => {
    const config = model === 'minilm' ? miniLm : benchConfigs[model];
    const modules = targetModules(loadModel(config), { targetModules: ['all-linear'], freeze: [] });
    const lora = modules.reduce((sum, module) => {
      const [out = 1, ...rest] = module.weight.shape;
      return sum + LORA_RANK * (out + expertsOf(module) * rest.reduce((n, d) => n * d, 1));
    }, 0);
    const spsft = modules.reduce((sum, module) => sum + expertsOf(module) * rowParameters(module), 0);
    expect(benchModels[model].rows).toBe(2 * Math.round(lora / spsft / 2));
  });

  test('have no dropout in their configs', () => {
    for (const config of Object.values(benchConfigs))
      for (const [key, value] of Object.entries(config)) if (key.includes('dropout')) expect(value).toBe(0);
  });
});

describe('plan', () => {
  const of = (model: (typeof MODEL_NAMES)[number], dtype: 'float32' | 'bfloat16', brief = false) =>
    frontierPlan({ model, dtype, steps: 5, brief }).map(({ configuration }) => configuration);

  test.each(MODEL_NAMES)('%s: nothing twice, both sides inference first, every level of our methods', model => {
    const all = of(model, 'bfloat16');
    expect(new Set(all.map(name)).size).toBe(all.length);
    expect(all.slice(0, 2).map(({ method }) => method)).toEqual(['inference', 'inference']);
    for (const method of benchModels[model].withExperts ? ['spsft', 'lora'] : ['spsft', 'lora', 'full', 'dora'])
      expect(
        [...new Set(all.filter(one => one.implementation === 'rowtune' && one.method === method).map(one => one.setting))].sort(),
      ).toEqual([...RECOMPUTE_POLICIES, ...(method === 'spsft' ? ['disk'] : [])].sort());
  });

  test('a brief plan has every configuration that the targets of the whole plan need', () => {
    const brief = of('smollm2', 'float32', true).map(name);
    expect(of('smollm2', 'float32').map(name)).toEqual(expect.arrayContaining(brief));
    expect(brief).toEqual(
      expect.arrayContaining(['rowtune spsft r32 block', 'pytorch lora r16 dropout 0.1 none', 'pytorch shira r16 none']),
    );
  });

  test('convolutions have no SHiRA, and autocast is of bfloat16 alone', () => {
    expect(of('resnet', 'float32').some(({ method, setting }) => method === 'shira' || setting === 'checkpointing')).toBe(false);
    expect(of('vit', 'float32').some(({ dtype }) => dtype === 'autocast')).toBe(false);
    expect(of('vit', 'bfloat16').filter(({ dtype }) => dtype === 'autocast')).toHaveLength(3);
  });

  test('configurations far from every target run fewer steps', () => {
    const steps = frontierPlan({ model: 'smollm2', dtype: 'float32', steps: 5, brief: false });
    expect(steps.find(({ configuration: { method } }) => method === 'spsft')?.steps).toBe(5);
    expect(steps.find(({ configuration: { method } }) => method === 'dora')?.steps).toBe(3);
  });
});

const ours = [
  row('rowtune', { method: 'spsft', setting: 'none' }, [4, 800]),
  row('rowtune', { method: 'spsft', setting: 'cheap' }, [5, 300]),
  row('rowtune', { method: 'lora', setting: 'block' }, [8, 100]),
  row('rowtune', { method: 'spsft', setting: 'cheap', dtype: 'bfloat16' }, [2, 200]),
];
const theirs = [
  row('pytorch', { method: 'lora', setting: 'none' }, [10, 1000]),
  row('pytorch', { method: 'lora', setting: 'checkpointing' }, [12, 400]),
  row('pytorch', { method: 'lora', dtype: 'autocast' }, [4, 700]),
];
const rates = { float32: { rowtune: 10, pytorch: 8 }, bfloat16: { rowtune: 20, pytorch: 40 } };

describe('verdicts', () => {
  test('take the fastest setting that meets both goals or else the nearest, of any method and of the same method', () => {
    const [plain, checkpointed] = verdicts([...ours, ...theirs], 'float32');
    expect(plain?.any).toMatchObject({ time: 0.5, memory: 0.3, reached: true });
    expect(plain?.same).toMatchObject({ time: 0.8, memory: 0.1, reached: false });
    // 300 of 400 MiB misses its goal by a larger factor than 8 of 12 seconds, which needs only a quarter of the memory.
    expect(checkpointed?.any).toMatchObject({ memory: 0.25, reached: true });
    expect(checkpointed?.any.ours.method).toBe('lora');
  });

  test('compare within one precision, and count autocast as bfloat16', () => {
    const found = verdicts([...ours, ...theirs], 'bfloat16');
    expect(found.map(({ peer, any }) => [peer.dtype, any.ours.dtype])).toEqual([['autocast', 'bfloat16']]);
    expect(found[0]?.same).toBeUndefined();
  });
});

test('goals: time across precisions, least memory of each side, share of matrix products', () => {
  const found = Object.fromEntries(
    goals({ rows: [...ours, ...theirs], rates }).map(({ name: of, value, reached }) => [of, [value, reached]]),
  );
  expect(found).toEqual({
    'fastest in bfloat16 / PEFT LoRA in float32, time': [0.2, true],
    'fastest in bfloat16 / PEFT LoRA in bfloat16, time': [0.5, true],
    'leanest of ours / leanest of PEFT, float32': [0.25, true],
    'useful operations / matrix products, float32': [1, true],
    'leanest of ours / leanest of PEFT, bfloat16': [200 / 700, false],
    'useful operations / matrix products, bfloat16': [0.5, false],
  });
});

test('the report counts what was reached, and the picture has both precisions', () => {
  const facts = { date: '2026-01-01', cpu: 'a processor', features: [], cores: 2, memoryBytes: 2 ** 34, kernel: 'Linux', versions: {} };
  const frontier: Frontier = {
    model: 'smollm2',
    facts,
    threads: 1,
    jobs: 1,
    steps: 5,
    rows: [...ours, ...theirs],
    rates,
    notes: ['a doubt'],
  };
  const text = frontierMarkdown(frontier, 'picture.svg');
  expect(text).toContain('2 of 2 points of theirs');
  expect(text).toContain('1 of 1 points of theirs');
  expect(text).toContain('a doubt');
  expect(summaryMarkdown([frontier])).toContain('| [SmolLM2-135M](frontier-smollm2.md) | float32 | 2 of 2 |');
  const picture = frontierPicture(frontier);
  expect(picture).toContain('>float32</text>');
  expect(picture).toContain('>PEFT: LoRA autocast</text>');
  expect(picture).not.toContain('NaN');
});
