/**
 * Tests the study of chosen rows: parts and pairs are complete, draws are disjoint halves, lines read back, and page and figures show their
 * content.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { neuronFigures } from '../../../bench/study/neurons/neuron-figures.ts';
import { neuronPage } from '../../../bench/study/neurons/neuron-page.ts';
import {
  bases,
  draws,
  neuronParts,
  pairsOf,
  partName,
  placesOf,
  planOfPart,
  seedOf,
  tasksOf,
} from '../../../bench/study/neurons/neuron-plan.ts';
import { type AblationRow, appendNeuronRow, type OverlapRow, readNeuronRows } from '../../../bench/study/neurons/neuron-rows.ts';
import { copyUnits, zeroUnits } from '../../../trainer/model/weight-storage.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'neurons-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const common = { plan: 'p', cpuSeconds: 90, machine: 'a machine', date: '2026-11-28T17:00:00Z' };
const names = tasksOf('minilm').map(({ name }) => name);
const overlap: OverlapRow = {
  kind: 'overlap',
  ...common,
  base: 'minilm',
  measure: 'wanda',
  chosen: 20,
  rows: 100,
  chance: 0.11,
  pairs: pairsOf(names).map(({ kind, a, b }, i) => ({
    kind,
    a: `${a.task}, ${a.draw}`,
    b: `${b.task}, ${b.draw}`,
    mean: (i + 1) / 10,
    byLayer: [0.2, (i + 1) / 10],
  })),
  ownShare: Object.fromEntries(names.map(name => [name, 0.25])),
};
const ablation: AblationRow = {
  kind: 'ablation',
  ...common,
  base: 'minilm',
  measure: 'wanda',
  task: 'minilm-mails',
  samples: 8,
  tuned: 0.5,
  sets: [
    { of: 'own', from: 'minilm-mails', rows: 20, zeroed: 1.25, reset: 0.75 },
    { of: 'others', from: 'minilm-kinds', rows: 20, zeroed: 0.875, reset: 0.625 },
  ],
};

describe('plan', () => {
  test('each part has a name of its own, and bases have several tasks', () => {
    expect(new Set(neuronParts.map(partName)).size).toBe(neuronParts.length);
    for (const base of bases) expect(tasksOf(base).length).toBeGreaterThan(1);
    expect(new Set(neuronParts.map(planOfPart)).size).toBe(bases.length);
  });

  test('halves share no sample and make up the whole, and a seed is another draw', () => {
    const drawn = [1, 4, 5, 9, 12];
    const [one, other] = [placesOf('half 1', drawn), placesOf('half 2', drawn)];
    expect([...one, ...other].sort((a, b) => a - b)).toEqual(drawn);
    expect(one.filter(place => other.includes(place))).toEqual([]);
    expect(draws.map(seedOf)).toEqual([2, 3, 2, 2]);
  });

  test('each task is compared with itself twice, and with each other once', () => {
    const pairs = pairsOf(['a', 'b', 'c', 'd']);
    expect(pairs.filter(({ kind }) => kind === 'halves')).toHaveLength(4);
    expect(pairs.filter(({ kind }) => kind === 'seeds')).toHaveLength(4);
    expect(new Set(pairs.filter(({ kind }) => kind === 'tasks').map(({ a, b }) => `${a.task}${b.task}`)).size).toBe(6);
  });
});

test('lines read back as they were written, and one that is none is named by its place', async () => {
  const file = path.join(folder, 'neurons.jsonl');
  expect(await readNeuronRows(file)).toEqual([]);
  await appendNeuronRow(file, overlap);
  await appendNeuronRow(file, ablation);
  expect(await readNeuronRows(file)).toEqual([overlap, ablation]);
  writeFileSync(file, `${JSON.stringify(overlap)}\n{"kind": "other"}\n`);
  await expect(readNeuronRows(file)).rejects.toThrow(`${file}:2 is not a valid row`);
});

test('the page has the means of each kind of pair, the losses of each set, and what is missing', () => {
  const page = neuronPage([overlap, ablation]);
  // Three tasks: halves are .1 to .3, seeds .4 to .6, and pairs of tasks .7 to .9.
  expect(page).toContain('| `wanda` | 0.20 | 0.50 | 0.80 | 0.11 | 25% |');
  expect(page).toContain('| own | 20 | 1.250 | 0.750 |');
  expect(page).toContain('| others, `minilm-kinds` | 20 | 0.875 | 0.625 |');
  expect(page).toContain(`${neuronParts.length - 2} of ${neuronParts.length} parts`);
  expect(page).toContain('2 parts, 3.0 CPU minutes');
});

test('a figure for each base with its overlap by block, without the control', () => {
  const found = neuronFigures([overlap, { ...overlap, measure: 'random' }, ablation]);
  expect([...found.keys()]).toEqual(['neurons-minilm.svg']);
  const svg = found.get('neurons-minilm.svg') ?? '';
  expect(svg).toContain('two halves of one task');
  expect(svg).not.toContain('>random<');
});

test.each(['rows', 'columns'] as const)('%s taken from zeros are zero, and taken from the same weights change nothing', unit => {
  const values = () => Float32Array.from({ length: 12 }, (_, i) => i + 1);
  const place = { unit, indices: Int32Array.of(0, 2) };
  expect(copyUnits(values(), new Float32Array(12), 3, place)).toEqual(zeroUnits(values(), 3, place));
  expect(copyUnits(values(), values(), 3, place)).toEqual(values());
  const other = values().map(value => -value);
  expect(copyUnits(zeroUnits(values(), 3, place), values(), 3, place)).toEqual(values());
  expect(copyUnits(values(), other, 3, place)).not.toEqual(values());
});
