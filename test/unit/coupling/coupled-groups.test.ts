/** Compares coupled groups with Torch-Pruning's, and with those of a Llama derived by hand. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type CoupledGroup, coupledGroups, DependencyError } from '../../../trainer/coupling/coupled-groups.ts';
import type { Node } from '../../../trainer/graph/graph.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import type { CausalModel } from '../../../trainer/model/model-spec.ts';
import type { ModuleSpec } from '../../../trainer/model/module-specs.ts';
import type { Tracer } from '../../../trainer/model/tracer.ts';
import { lastOf } from '../../../trainer/narrow.ts';
import { readGoldenJson, readRecord } from '../../support/files/read-json.ts';

const golden = join(import.meta.dirname, '..', '..', 'golden');
const configOf = (name: string) => readRecord(join(golden, name, 'config.json'));
const memberForm = z.object({ module: z.string(), type: z.string(), fn: z.string(), n: z.number() });
const groupsForm = z.object({ groups: z.array(z.object({ root: z.string(), members: z.array(memberForm) })) });
const pruning = readGoldenJson('torch_pruning.json', z.object({ mlp: groupsForm, resnet: groupsForm }));

const ROLES: Readonly<Record<string, string>> = { rows: 'prune_out_channels', entries: 'prune_out_channels', columns: 'prune_in_channels' };

/** Returns a group in Torch-Pruning's terms: each member, and its number of channels. */
const inItsWords = ({ members, channels }: CoupledGroup): string[] =>
  members.map(({ module, part }) => `${module.name} ${ROLES[part]} ${channels}`).sort();

const theirs = (name: 'mlp' | 'resnet', prefix: string): string[][] =>
  pruning[name].groups.map(({ members }) => members.map(({ module, fn, n }) => `${module.slice(prefix.length)} ${fn} ${n}`).sort());

const linear = (name: string, out: number, width: number, kind: ModuleSpec['kind'] = 'linear'): ModuleSpec => ({
  name,
  kind,
  part: 'mlp',
  layer: 0,
  weight: { name: `${name}.weight`, shape: [out, width] },
});

/** Creates a model with one input, as a language model whose head is the last module. */
function toy(modules: readonly ModuleSpec[], hidden: (tracer: Tracer, x: Node) => Node): CausalModel {
  const sizes = { blocks: 1, hiddenSize: 4, vocabularySize: 4, maxPositions: 8, keyValues: [{ kvHeads: 1, headDim: 4 }] };
  return {
    kind: 'causal',
    family: 'toy',
    ...sizes,
    modules,
    parameters: [],
    head: lastOf(modules),
    hidden: (tracer, { ids }) => hidden(tracer, tracer.graph.cast(ids, 'float32')),
  };
}

describe("Torch-Pruning's groups", () => {
  test('of three linear layers', () => {
    const layers = [linear('fc1', 16, 4), linear('fc2', 20, 16), linear('fc3', 4, 20)] as const;
    const model = toy(layers, (tracer, x) => tracer.graph.relu(tracer.linear(layers[1], tracer.graph.relu(tracer.linear(layers[0], x)))));
    const own = coupledGroups(model).filter(({ members }) => members.length > 1);
    expect(own.map(inItsWords).sort()).toEqual(theirs('mlp', '').sort());
  });

  test('of a ResNet', () => {
    const model = loadModel(configOf('resnet'), { imageSize: [32, 32] });
    const own = coupledGroups(model).filter(({ members }) => members.length > 1);
    expect(own.map(inItsWords).sort()).toEqual(theirs('resnet', 'm.').sort());
    // One channel is one row everywhere.
    for (const { members, channels } of own)
      for (const { channelOf } of members) expect([...channelOf]).toEqual([...Array(channels).keys()]);
  });
});

/** Members as 'name part' with names as in the file: 'out' makes the channels or is between, 'in' reads them. */
const namedGroup = z.object({ channels: z.number(), members: z.array(z.string()) });

describe("Torch-Pruning's groups of every family", () => {
  const { families } = readGoldenJson('coupled_groups.json', z.object({ families: z.record(z.string(), z.array(namedGroup)) }));
  /** A member that Torch-Pruning misses: it does not notice that DeBERTa uses this table as a weight. */
  const UNSEEN = 'deberta.encoder.rel_embeddings out';

  const named = ({ module: { weight, kind }, part }: CoupledGroup['members'][number]): string =>
    `${weight.name.replace(/\.weight$/, '')} ${part === 'columns' && (kind === 'linear' || kind === 'conv') ? 'in' : 'out'}`;
  /** Our groups that start at the rows of a linear layer or a convolution, as Torch-Pruning's do. */
  const ownGroups = (name: string): z.infer<typeof namedGroup>[] =>
    coupledGroups(loadModel(configOf(name), { imageSize: [32, 32] }))
      .filter(({ members }) => members.some(({ part }) => part === 'rows'))
      .map(({ channels, members }) => ({ channels, members: [...new Set(members.map(named))].filter(member => member !== UNSEEN).sort() }));
  const written = ({ channels, members }: z.infer<typeof namedGroup>): string => `${channels}: ${members.join(', ')}`;

  const convolutional = Object.keys(families).filter(name => /resne|convnext/.test(name));
  test.each(convolutional)('%s: the same', name => {
    expect(ownGroups(name).map(written).sort()).toEqual(families[name]?.map(written).sort());
  });

  /**
   * Number of groups that Torch-Pruning joins; otherwise, one for the attention of each of two blocks. ModernBERT has gate and up in one
   * matrix.
   */
  const JOINED: Readonly<Record<string, number>> = { modernbert: 8, swin: 4, timm_swin: 4, albert: 1, albert_groups: 4, mpnet: 1 };
  /** The attention layers of such a group: the blocks of MPNet share the biases of their scores. */
  const ATTENTIONS: Readonly<Record<string, number>> = { mpnet: 2 };
  // Torch-Pruning treats the softmax of attention as an operation on each feature, so it couples all four projections of a layer. They
  // actually interact through products: queries with keys, and values with the columns that read them. Its groups are therefore ours,
  // joined.
  const attention = Object.keys(families).filter(name => !convolutional.includes(name));
  test.each(attention)('%s: the same, and of attention a finer part', name => {
    const own = ownGroups(name);
    const same = new Set(own.map(written));
    const others = (families[name] ?? []).filter(group => !same.has(written(group)));
    expect(others.length).toBe(JOINED[name] ?? 2);
    for (const { channels, members } of others) {
      const inside = own.filter(group => group.members.every(member => members.includes(member)));
      expect([...new Set(inside.flatMap(group => group.members))].sort()).toEqual(members);
      expect(Math.max(...inside.map(group => group.channels))).toBeLessThanOrEqual(channels);
      expect(members.filter(member => member.endsWith(' in'))).toHaveLength(ATTENTIONS[name] ?? 1);
    }
  });
});

describe('a Llama of two blocks, 4 heads and 2 key-value heads', () => {
  const sizes = z.looseObject({
    num_attention_heads: z.number(),
    num_key_value_heads: z.number(),
    head_dim: z.number(),
    intermediate_size: z.number(),
  });
  const config = sizes.parse(configOf('llama'));
  const model = loadModel(config);
  const groups = coupledGroups(model);
  const groupWith = (module: string, part: string): CoupledGroup => {
    const found = groups.find(({ members }) => members.some(member => member.module.name === module && member.part === part));
    if (!found) throw new Error(`no group has the ${part} of ${module}`);
    return found;
  };
  const partsOf = ({ members }: CoupledGroup): string[] =>
    members.map(({ module, part }) => `${module.name.replace('model.layers.0.', '')} ${part}`);
  const channelsIn = (group: CoupledGroup, name: string): number[] => [
    ...(group.members.find(({ module }) => module.name.endsWith(name))?.channelOf ?? []),
  ];
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: dim, intermediate_size: inner } = config;

  test('rows of gate and up are read by one column of down', () => {
    const group = groupWith('model.layers.0.mlp.up_proj', 'rows');
    expect(partsOf(group)).toEqual(['mlp.gate_proj rows', 'mlp.up_proj rows', 'mlp.down_proj columns']);
    expect(group.channels).toBe(inner);
  });

  test('a value row is read by the columns of all heads that share it', () => {
    const group = groupWith('model.layers.0.self_attn.v_proj', 'rows');
    expect(partsOf(group)).toEqual(['self_attn.v_proj rows', 'self_attn.o_proj columns']);
    expect(channelsIn(group, 'v_proj')).toEqual([...Array(kvHeads * dim).keys()]);
    const shared = Array.from({ length: heads * dim }, (_, i) => Math.floor(Math.floor(i / dim) / (heads / kvHeads)) * dim + (i % dim));
    expect(channelsIn(group, 'o_proj')).toEqual(shared);
  });

  test('rotary pairs of queries and keys go together, over the heads that share a key', () => {
    const group = groupWith('model.layers.0.self_attn.k_proj', 'rows');
    expect(partsOf(group)).toEqual(['self_attn.q_proj rows', 'self_attn.k_proj rows']);
    expect(group.channels).toBe((kvHeads * dim) / 2);
    const keys = channelsIn(group, 'k_proj');
    expect(keys[0]).toBe(keys[dim / 2]);
    expect(channelsIn(group, 'q_proj')[0]).toBe(keys[0]);
    expect(channelsIn(group, 'q_proj')[dim]).toBe(keys[0]);
    expect(keys[1]).not.toBe(keys[0]);
  });

  test('every layer that writes to or reads from the residual stream is in one group', () => {
    const group = groupWith('model.embed_tokens', 'columns');
    expect(group.channels).toBe(config.hidden_size);
    const names = group.members.map(({ module, part }) => `${module.name.slice(module.name.lastIndexOf('.') + 1)} ${part}`);
    expect(new Set(names)).toEqual(
      new Set([
        'embed_tokens columns',
        'input_layernorm entries',
        'q_proj columns',
        'k_proj columns',
        'v_proj columns',
        'o_proj rows',
        'post_attention_layernorm entries',
        'gate_proj columns',
        'up_proj columns',
        'down_proj rows',
        'norm entries',
        'lm_head columns',
      ]),
    );
  });
});

test('the worked example of docs/explanation/dependencies.md has the channels of SmolLM2', () => {
  const sizes = { hidden_size: 576, num_attention_heads: 9, num_key_value_heads: 3, head_dim: 64, intermediate_size: 1536, vocab_size: 64 };
  const model = loadModel({ ...configOf('llama3_tied'), ...sizes, num_hidden_layers: 2, tie_word_embeddings: true });
  const page = readFileSync(join(golden, '..', '..', 'docs', 'explanation', 'dependencies.md'), 'utf8');
  const rows = [...page.matchAll(/^\| (MLP|values|queries and keys|residual stream) \| (\d+) \|/gm)].map(([, name, count]) => [
    name,
    Number(count),
  ]);
  const channelsWith = (module: string, part: string): number | undefined =>
    coupledGroups(model).find(({ members }) => members.some(member => member.module.name.endsWith(module) && member.part === part))
      ?.channels;
  expect(Object.fromEntries(rows)).toEqual({
    MLP: channelsWith('0.mlp.up_proj', 'rows'),
    values: channelsWith('0.self_attn.v_proj', 'rows'),
    'queries and keys': channelsWith('0.self_attn.k_proj', 'rows'),
    'residual stream': channelsWith('0.self_attn.o_proj', 'rows'),
  });
});

test.each([
  'bert',
  'distilbert',
  'electra',
  'albert_groups',
  'mpnet',
  'nomic_bert',
  'eurobert',
  'ultrabert',
  'esm',
  'modernbert',
  'deberta',
  'vit',
  'deit',
  'dinov2',
  'dinov3',
])('every row, column and entry of %s is in a group', name => {
  const model = loadModel(configOf(name));
  const members = coupledGroups(model).flatMap(group => group.members);
  const missing = model.modules.filter(({ name: module }) => !members.some(member => member.module.name === module));
  expect(missing.map(module => module.name)).toEqual([]);
});

test('an operation that channels cannot be followed through is an error with its name and layer', () => {
  const layers = [linear('first', 4, 4), linear('second', 4, 4)] as const;
  const model = toy(layers, (tracer, x) => {
    const y = tracer.linear(layers[0], x);
    return tracer.graph.gather(y, tracer.graph.cast(tracer.graph.reshape(x, [4]), 'int32'), 1);
  });
  expect(() => coupledGroups(model)).toThrow(DependencyError);
  expect(() => coupledGroups(model)).toThrow(/channels behind first cannot be followed through gather \[1, 4\]/);
});
