/** Tests coupled channels of a mixture of experts, read off its graph, and rows chosen separately in each expert. */

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { coupledGroups } from '../../../trainer/coupling/coupled-groups.ts';
import { coupledParts, elementsOf, selectCoupled, trainedGroups } from '../../../trainer/coupling/coupling.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { targetModules } from '../../../trainer/method/targets.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { isExperts } from '../../../trainer/model/module-specs.ts';
import { quantizable } from '../../../trainer/model/weight-storage.ts';
import { required, valueFor } from '../../../trainer/narrow.ts';
import { createRandom } from '../../../trainer/random.ts';
import { selectRows } from '../../../trainer/selection.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { settingsOf } from '../../support/models/method-settings.ts';

const modelOf = (name: string) => causalModel(readRecord(join(import.meta.dirname, '..', '..', 'golden', name, 'config.json')));

describe.each([
  ['mixtral', 4, 24, ['w1 rows', 'w3 rows', 'w2 columns']],
  ['qwen3_moe', 8, 16, ['gate_proj rows', 'up_proj rows', 'down_proj columns']],
  ['qwen3_5_moe', 6, 16, ['gate_proj rows', 'up_proj rows', 'down_proj columns']],
  ['qwen3_next', 6, 16, ['gate_proj rows', 'up_proj rows', 'down_proj columns']],
  ['lfm2_moe', 6, 16, ['w1 rows', 'w3 rows', 'w2 columns']],
  ['deepseek_v3', 8, 16, ['gate_proj rows', 'up_proj rows', 'down_proj columns']],
  ['granite4_experts', 4, 16, ['gate_proj rows', 'up_proj rows', 'down_proj columns']],
  ['nemotron_h_experts', 8, 16, ['up_proj rows', 'down_proj columns']],
  ['gpt_oss', 4, 32, ['gate_up_proj rows', 'down_proj columns']],
] as const)('%s', (name, experts, inner, members) => {
  const model = modelOf(name);
  const targets = targetModules(model, { targetModules: ['all-linear'], freeze: [] });
  const random = createRandom(7);
  const scores = new Map(
    targets.map(module => [module.name, Float32Array.from({ length: module.weight.shape[0] as number }, () => random.uniform())]),
  );
  const groups = trainedGroups(coupledGroups(model), targets, true);
  const inside = groups.filter(({ runs }) => runs !== undefined);

  test('the layers of an expert are coupled expert by expert, and the router is frozen', () => {
    expect(targets.some(({ part }) => part === 'router')).toBe(false);
    // Routing between experts must not use rounded weights.
    expect(quantizable(model).some(weight => /gate\.weight|router/.test(weight))).toBe(false);
    expect(inside).toHaveLength(model.modules.filter(isExperts).length / members.length);
    for (const group of inside) {
      expect(group).toMatchObject({ channels: experts * inner, runs: experts });
      expect(group.members.map(({ module, part }) => `${module.name.replace(/.*\./, '')} ${part}`)).toEqual(members);
      // A channel of expert e has rows of only expert e.
      for (const { module, part, channelOf } of group.members) {
        const perExpert = channelOf.length / experts;
        expect(channelOf.every((channel, i) => Math.floor(channel / inner) === Math.floor(i / perExpert))).toBe(true);
        expect(perExpert).toBe(part === 'rows' ? (module.weight.shape[0] as number) / experts : module.weight.shape[1]);
      }
    }
  });

  test('each expert gets the same number of rows, alone and with dependencies', () => {
    const counts = (rows: Int32Array | undefined, size: number) =>
      Array.from({ length: experts }, (_, e) => rows?.filter(row => Math.floor(row / size) === e).length);
    const alone = selectRows(targets, scores, { r: 3 });
    const coupled = selectCoupled(groups, targets, scores, { budget: { ratio: 0.25 } });
    for (const module of targets.filter(isExperts)) {
      const size = (module.weight.shape[0] as number) / experts;
      expect(counts(alone.get(module.name), size)).toEqual(new Array(experts).fill(3));
      const [first = 0, ...others] = counts(coupled.get(module.name), size);
      expect(first).toBeGreaterThan(0);
      expect(others.every(count => count === first)).toBe(true);
    }
  });

  test('the columns that read chosen rows are those of the same expert', () => {
    const selection = selectCoupled(inside, [], scores, { budget: { ratio: 0.25 } });
    const { columns } = coupledParts(inside, selection);
    const [group] = inside;
    const [maker] = group?.members ?? [];
    const reader = group?.members.find(({ part }) => part === 'columns');
    if (!group || !maker || !reader) throw new Error(name);
    const chosen = new Set([...(selection.get(maker.module.name) ?? [])].map(row => maker.channelOf[row]));
    expect([...(columns.get(reader.module.name) ?? [])]).toEqual([...chosen].sort((a = 0, b = 0) => a - b));
    const elements = elementsOf(reader.module, new Int32Array(), valueFor(columns, reader.module.name));
    const height = (reader.module.weight.shape[0] as number) / experts;
    expect(elements.length).toBe(chosen.size * height);
    expect([...elements].every(at => chosen.has(Math.floor(at / inner / height) * inner + (at % inner)))).toBe(true);
  });

  test('full fine-tuning leaves the router alone unless it is named', () => {
    const router = model.modules.find(({ part }) => part === 'router')?.weight.name;
    const trained = (settings: Parameters<typeof settingsOf>[0]) =>
      methods.full.attach(model, settingsOf(settings), new Map()).trainables.some(trainable => trainable.name === router);
    expect(trained({})).toBe(false);
    expect(trained({ modulesToSave: [required(router, 'a router').replace(/\.weight$/, '')] })).toBe(true);
  });
});
