/** Tests the step from groups to rows, columns and elements. */

import { describe, expect, test } from 'vitest';
import { type CoupledGroup, coupledGroups, type GroupMember, type MemberPart } from '../../../trainer/coupling/coupled-groups.ts';
import { coupledParts, elementsOf, insideBlocks, selectCoupled, trainedGroups, wholeRows } from '../../../trainer/coupling/coupling.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import type { ConvSpec, ModuleSpec } from '../../../trainer/model/module-specs.ts';
import { atLeast, elementAt, required } from '../../../trainer/narrow.ts';
import { createRandom } from '../../../trainer/random.ts';
import { type Selection, selectRows } from '../../../trainer/selection.ts';
import { eightBlocks } from '../../support/models/llama-sizes.ts';

const linear = (name: string, shape: number[]): ModuleSpec => ({
  name,
  kind: 'linear',
  part: 'mlp',
  layer: 0,
  weight: { name: `${name}.weight`, shape },
});
const member = (module: ModuleSpec, part: MemberPart, channelOf: number[]): GroupMember => ({
  module,
  part,
  channelOf: Int32Array.from(channelOf),
});

describe('choosing', () => {
  // a has one row per channel and b has two; c reads both, and d only writes to the same sum.
  const [a, b, c] = [linear('a', [4, 3]), linear('b', [8, 3]), linear('c', [2, 4])];
  const norm: ModuleSpec = { ...linear('norm', [4]), kind: 'norm' };
  const group: CoupledGroup = {
    channels: 4,
    members: [
      member(a, 'rows', [0, 1, 2, 3]),
      member(b, 'rows', [0, 0, 1, 1, 2, 2, 3, 3]),
      member(c, 'columns', [3, 2, 1, 0]),
      member(norm, 'entries', [0, 1, 2, 3]),
    ],
  };
  const scores = new Map([
    ['a', Float32Array.of(1, 5, 2, 0)],
    ['b', Float32Array.of(1, 0, 0, 0, 4, 4, 0, 1)],
  ]);

  test('rows of the best channels, in every member', () => {
    // Channels: (1 + 1)/2, 5/2, (2 + 8)/2, (0 + 1)/2.
    expect(selectCoupled([group], [a, b], scores, { budget: { ratio: 0.5 } })).toEqual(
      new Map([
        ['a', Int32Array.of(1, 2)],
        ['b', Int32Array.of(2, 3, 4, 5)],
      ]),
    );
    expect(selectCoupled([group], [a, b], scores, { budget: { r: 2 } }).get('b')).toEqual(Int32Array.of(4, 5));
  });

  test('columns and norm entries of the chosen channels are trained too', () => {
    const { columns, entries } = coupledParts([group], selectCoupled([group], [a, b], scores, { budget: { ratio: 0.5 } }));
    expect(columns).toEqual(new Map([['c', Int32Array.of(1, 2)]]));
    expect(entries).toEqual(new Map([[norm, Int32Array.of(1, 2)]]));
  });

  test('only targets are trained, and norms only if they are not frozen', () => {
    const parts = (targets: ModuleSpec[], norms: boolean) =>
      trainedGroups([group], targets, norms).map(({ members }) => members.map(({ module }) => module.name));
    expect(parts([a, c], true)).toEqual([['a', 'c', 'norm']]);
    expect(parts([a, b], false)).toEqual([['a', 'b']]);
    expect(parts([c], true)).toEqual([]);
  });
});

describe('elements', () => {
  const places = (module: ModuleSpec, rows: number[], columns: number[]): number[] => [
    ...elementsOf(module, Int32Array.from(rows), Int32Array.from(columns)),
  ];

  test('of rows and columns are listed once', () => {
    expect(places(linear('x', [3, 4]), [1], [0, 3])).toEqual([0, 3, 4, 5, 6, 7, 8, 11]);
  });

  test('of a grouped convolution: the column of a channel is in the rows of its group', () => {
    const conv: ConvSpec = {
      ...linear('x', [4, 2, 1, 2]),
      kind: 'conv',
      window: { strides: [1, 1], padding: [0, 0, 0, 0], dilations: [1, 1], groups: 2 },
    };
    // Input 3 is the second of group 1, whose rows are 2 and 3; a row has 4 elements.
    expect(places(conv, [], [3])).toEqual([10, 11, 14, 15]);
  });

  test('give back the rows they come from', () => {
    const module = linear('x', [5, 4]);
    expect(wholeRows(module, elementsOf(module, Int32Array.of(1, 3), Int32Array.of(0, 2)))).toEqual(Int32Array.of(1, 3));
  });
});

describe('a model that holds queries, keys and values, and gate and up, in one matrix each', () => {
  const models = ['LlamaForCausalLM', 'Phi3ForCausalLM'].map(name => loadModel({ ...eightBlocks, architectures: [name] }));
  const targets = models.map(({ modules }) => modules.filter(({ kind, part }) => kind === 'linear' && part !== 'head'));
  const [split = [], fused = []] = targets;
  /** The first row of each unfused layer in the fused matrix. */
  const places = fused.flatMap(module =>
    (module.sections ?? [{ name: module.name.slice(module.name.lastIndexOf('.') + 1), rows: module.weight.shape[0] as number }]).map(
      ({ name }, i, all) => ({
        name: module.name.replace(/[^.]*$/, name),
        module: module.name,
        begin: all.slice(0, i).reduce((sum, { rows }) => sum + rows, 0),
      }),
    ),
  );
  const random = createRandom(5);
  const scores = new Map(
    split.map(({ name, weight }) => [name, Float32Array.from({ length: weight.shape[0] as number }, () => random.uniform())]),
  );
  const fusedScores = new Map(
    fused.map(({ name }) => [
      name,
      Float32Array.from(places.filter(({ module }) => module === name).flatMap(part => [...(scores.get(part.name) ?? [])])),
    ]),
  );
  const inFused = (found: Selection) =>
    new Map(
      fused.map(({ name }) => [
        name,
        places.filter(({ module }) => module === name).flatMap(part => [...(found.get(part.name) ?? [])].map(row => row + part.begin)),
      ]),
    );
  const plain = (found: Selection) => new Map([...found].map(([name, rows]) => [name, [...rows]]));

  test('trains the same rows as if they were separate layers', () => {
    expect(places).toHaveLength(split.length);
    for (const mode of ['per_layer', 'global'] as const)
      expect(plain(selectRows(fused, fusedScores, { r: 3 }, mode))).toEqual(inFused(selectRows(split, scores, { r: 3 }, mode)));
  });

  test.each([{ r: 2 }, { ratio: 0.25 }])('and with dependencies the same channels: %j', budget => {
    const [ofSplit, ofFused] = atLeast(
      models.map((model, i) => trainedGroups(coupledGroups(model), targets[i] ?? [], true)),
      2,
    );
    const [chosen, wanted] = [selectCoupled(ofFused, fused, fusedScores, { budget }), selectCoupled(ofSplit, split, scores, { budget })];
    expect(plain(chosen)).toEqual(inFused(wanted));
    const [parts, wantedParts] = [coupledParts(ofFused, chosen), coupledParts(ofSplit, wanted)];
    const fusedName = new Map(places.map(({ name, module }) => [name, module]));
    expect(plain(parts.columns)).toEqual(
      plain(new Map([...wantedParts.columns].map(([name, list]) => [fusedName.get(name) ?? name, list]))),
    );
    expect(parts.columns.size).toBeGreaterThan(0);
    expect([...parts.entries.values()]).toEqual([...wantedParts.entries.values()]);
  });
});

describe('whole heads', () => {
  // 8 query heads of 8 features share 2 key and value heads.
  const model = loadModel({ ...eightBlocks, num_attention_heads: 8, num_key_value_heads: 2, num_hidden_layers: 1 });
  const groups = insideBlocks(coupledGroups(model), model.modules);
  const values = required(
    model.modules.find(({ name }) => name.endsWith('v_proj')),
    'the values',
  );
  const size = values.head && 'rows' in values.head ? values.head.rows : 0;
  const rows = elementAt(values.weight.shape, 0);
  const scores = new Map(
    model.modules.map(({ name, weight }) => [
      name,
      Float32Array.from({ length: weight.shape[0] ?? 0 }, (_, row) => Number(row >= size) + (row % size === 0 ? 5 : 0)),
    ]),
  );

  test('of values are chosen by their mean, with the columns of all heads that share them', () => {
    expect(rows).toBe(2 * size);
    const selection = selectCoupled(groups, [], scores, { budget: { r: size }, heads: true });
    expect([...(selection.get(values.name) ?? [])]).toEqual(Array.from({ length: size }, (_, i) => size + i));
    const { columns } = coupledParts(groups, selection);
    const output = values.name.replace('v_proj', 'o_proj');
    expect([...(columns.get(output) ?? [])]).toEqual(Array.from({ length: 4 * size }, (_, i) => 4 * size + i));
  });

  test('channels of the MLP, which has none, are chosen singly', () => {
    const [alone, together] = [false, true].map(heads => selectCoupled(groups, [], scores, { budget: { r: 3 }, heads }));
    const up = values.name.replace('self_attn.v_proj', 'mlp.up_proj');
    expect(together?.get(up)?.length).toBe(3);
    expect(together?.get(up)).toEqual(alone?.get(up));
    expect(together?.get(values.name)?.length).toBe(size);
  });
});
