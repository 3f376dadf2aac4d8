/** Tests that module names of several families become rows and columns. */
import { describe, expect, test } from 'vitest';
import { columnRuns, deriveGrid } from '../../../media/heatmap/grid/grid.ts';
import { outlinesOf } from '../../../media/heatmap/grid/outlines.ts';

const blocks = (count: number, prefix: string, tails: readonly string[]): string[] =>
  Array.from({ length: count }, (_, i) => tails.map(tail => `${prefix}.${i}.${tail}`)).flat();

const families: Readonly<Record<string, { names: string[]; columns: string[]; rows: string[] }>> = {
  llama: {
    names: [
      'model.embed_tokens',
      ...blocks(2, 'model.layers', [
        'self_attn.q_proj',
        'self_attn.k_proj',
        'self_attn.v_proj',
        'self_attn.o_proj',
        'mlp.gate_proj',
        'mlp.up_proj',
        'mlp.down_proj',
        'input_layernorm',
      ]),
      'model.norm',
      'lm_head',
    ],
    columns: ['q', 'k', 'v', 'o', 'gate', 'up', 'down', 'input norm'],
    rows: ['embedding', '0', '1', 'norm', 'head'],
  },
  bert: {
    names: [
      'bert.embeddings.word_embeddings',
      'bert.embeddings.LayerNorm',
      ...blocks(2, 'bert.encoder.layer', [
        'attention.self.query',
        'attention.output.dense',
        'attention.output.LayerNorm',
        'intermediate.dense',
        'output.dense',
        'output.LayerNorm',
      ]),
      'bert.pooler.dense',
      'classifier',
    ],
    columns: ['query', 'attention output', 'attention output norm', 'intermediate', 'output', 'output norm'],
    rows: ['embedding', '0', '1', 'head'],
  },
  albert: {
    names: [
      'albert.embeddings.word_embeddings',
      ...blocks(2, 'albert.encoder.albert_layer_groups.0.albert_layers', ['attention.query', 'ffn', 'full_layer_layer_norm']),
      'albert.pooler',
      'classifier',
    ],
    columns: ['query', 'ffn', 'full layer layer norm'],
    rows: ['embedding', '0.0', '0.1', 'head'],
  },
  swin: {
    names: [
      'swin.embeddings.patch_embeddings.projection',
      ...blocks(2, 'swin.encoder.layers.0.blocks', ['attention.self.query', 'output.dense']),
      'swin.encoder.layers.0.downsample.reduction',
      ...blocks(1, 'swin.encoder.layers.1.blocks', ['attention.self.query', 'output.dense']),
      'classifier',
    ],
    columns: ['query', 'output', 'reduction'],
    rows: ['embedding', 'blocks 0.0', 'blocks 0.1', 'layers 0', 'blocks 1.0', 'head'],
  },
  vit: {
    names: [
      'vit.embeddings.patch_embeddings.projection',
      ...blocks(2, 'vit.encoder.layer', ['layernorm_before', 'attention.attention.query', 'attention.output.dense', 'output.dense']),
      'vit.layernorm',
      'classifier',
    ],
    columns: ['norm before', 'query', 'attention output', 'output'],
    rows: ['embedding', '0', '1', 'norm', 'head'],
  },
  resnet: {
    names: [
      'resnet.embedder.embedder.convolution',
      ...[0, 1].flatMap(stage => [
        `resnet.encoder.stages.${stage}.layers.0.shortcut.convolution`,
        ...blocks(2, `resnet.encoder.stages.${stage}.layers`, ['layer.0.convolution', 'layer.0.normalization', 'layer.1.convolution']),
      ]),
      'classifier.1',
    ],
    columns: ['shortcut conv', 'conv 0', 'norm 0', 'conv 1'],
    rows: ['embedding', '0.0', '0.1', '1.0', '1.1', 'head'],
  },
  'resnet of timm': {
    names: ['conv1', ...[1, 2].flatMap(stage => blocks(2, `layer${stage}`, ['conv1', 'bn1'])), 'fc'],
    columns: ['conv1', 'bn1'],
    rows: ['embedding', 'layer1.0', 'layer1.1', 'layer2.0', 'layer2.1', 'head'],
  },
  'gpt-2': {
    names: [...blocks(2, 'transformer.h', ['attn.c_attn', 'attn.c_proj', 'mlp.c_fc', 'mlp.c_proj']), 'transformer.ln_f'],
    columns: ['attn', 'attn proj', 'fc', 'mlp proj'],
    rows: ['0', '1', 'norm'],
  },
  'encoder and decoder': {
    names: [...blocks(1, 'encoder.block', ['layer.0.SelfAttention.q']), ...blocks(1, 'decoder.block', ['layer.1.EncDecAttention.q'])],
    columns: ['SelfAttention 0 q', 'EncDecAttention 1 q'],
    rows: ['encoder 0', 'decoder 0'],
  },
};

describe.each(Object.entries(families))('%s', (_, { names, columns, rows }) => {
  const grid = deriveGrid(names);

  test('has a column for each kind of module and a row for each block', () => {
    expect(grid.columns.map(({ label }) => label)).toEqual(columns);
    expect(grid.rows.map(({ label }) => label)).toEqual(rows);
  });

  test('gives every module a cell of its own, and says its place in both directions', () => {
    const filled = [...grid.cells].filter(module => module >= 0).sort((a, b) => a - b);
    expect(filled).toEqual([...names.keys()]);
    for (const [module, { row, column }] of grid.places.entries()) expect(grid.cells[row * grid.columns.length + column]).toBe(module);
  });

  test('labels every module differently', () => expect(new Set(grid.labels).size).toBe(names.length));
});

test('rows without all modules keep their columns', () => {
  const grid = deriveGrid(['m.layers.0.a', 'm.layers.0.b', 'm.layers.1.b']);
  expect([...grid.cells]).toEqual([0, 1, -1, 2]);
});

test('names without numbers stand in rows of their own; none make an empty grid', () => {
  expect(deriveGrid(['encoder', 'something.else']).rows.map(({ label }) => label)).toEqual(['encoder', 'something']);
  expect(deriveGrid([])).toMatchObject({ rows: [], columns: [] });
});

test('columns too narrow for labels share those that differ by a number', () => {
  const experts = ['gate_proj', 'up_proj'].flatMap(name => Array.from({ length: 128 }, (_, i) => `mlp.experts.${name}.${i}`));
  const { columns } = deriveGrid(blocks(2, 'model.layers', ['self_attn.q_proj', 'mlp.gate', ...experts]));
  expect(columnRuns(columns)).toEqual([
    { first: 0, count: 1, label: 'q' },
    { first: 1, count: 1, label: 'gate' },
    { first: 2, count: 128, label: 'gate 0–127' },
    { first: 130, count: 128, label: 'up 0–127' },
  ]);
});

test('the open cell and the one under the cursor have a frame in the color of the background, which shows on every color', () => {
  const theme = { foreground: 'fore', background: 'back', accent: 'accent', focus: 'focus', isHighContrast: false };
  const grid = deriveGrid(['model.layers.0.mlp.up_proj', 'model.layers.1.mlp.up_proj']);
  const [first, second] = grid.places;
  expect(outlinesOf({ content: { grid, opened: 1 }, cursor: first, hovered: 0 }, theme)).toEqual([
    { ...first, color: 'fore', width: 1 },
    { ...second, color: 'back', width: 4 },
    { ...second, color: 'accent', width: 2 },
    { ...first, color: 'back', width: 4 },
    { ...first, color: 'focus', width: 2 },
  ]);
  expect(outlinesOf({ content: { grid }, cursor: undefined, hovered: -1 }, theme)).toEqual([]);
  // With high contrast, every cell has a frame.
  expect(outlinesOf({ content: { grid }, cursor: first, hovered: -1 }, { ...theme, isHighContrast: true })).toEqual([
    { ...first, color: 'back', width: 8 },
    { ...first, color: 'focus', width: 4 },
  ]);
});
