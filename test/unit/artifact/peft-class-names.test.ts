/** PEFT has the names of the class that Transformers loads the base as; `test/interop/classifiers.long.test.ts` compares with PEFT itself. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Adapter } from '../../../trainer/adapter/adapter.ts';
import { underNamesOf } from '../../../trainer/adapter/rename-modules.ts';
import { configInMemory, namesInMemory } from '../../../trainer/artifact/peft/names-in-memory.ts';
import type { ModelOptions } from '../../../trainer/model/config-json.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import { readRecord } from '../../support/files/read-json.ts';

const VECTORS: ModelOptions = { problem: 'embedding', pooling: { mode: 'mean', normalize: false } };
const LABELS: ModelOptions = { problem: 'single_label', labels: ['a', 'b'] };

/** An adapter of PEFT with one LoRA and one module trained whole. */
const adapterOf = (factored: string, whole: string): Adapter => ({
  dir: 'adapter',
  description: {
    method: 'lora',
    base: { source: '', revision: '' },
    modules: [factored, whole],
    rows: new Map(),
    columns: new Map(),
    elements: new Map(),
    lora: new Map([[factored, { r: 2, alpha: 2 }]]),
    whole: [whole],
    createdBy: 'peft',
  },
  tensors: new Map([`${factored}.lora_A.weight`, `${whole}.weight`].map(name => [name, { name, shape: [1] }])),
  readFloat32: async name => Float32Array.of(name.length),
  peftParameters: new Set(),
  close: async () => {},
});

test.each([
  ['bert', 'BertModel', LABELS, 'encoder.layer.0.attention.self.query', 'bert.encoder.layer.0.attention.self.query'],
  ['bert', 'BertForMaskedLM', LABELS, 'bert.encoder.layer.0.attention.self.query', 'bert.encoder.layer.0.attention.self.query'],
  ['vit', 'ViTModel', LABELS, 'encoder.layer.0.attention.attention.query', 'vit.layers.0.attention.q_proj'],
  ['bert', 'BertModel', VECTORS, 'encoder.layer.0.attention.self.query', 'encoder.layer.0.attention.self.query'],
  ['bert', 'BertForMaskedLM', VECTORS, 'bert.encoder.layer.0.attention.self.query', 'encoder.layer.0.attention.self.query'],
  ['qwen3', 'Qwen3ForCausalLM', VECTORS, 'model.layers.0.self_attn.q_proj', 'layers.0.self_attn.q_proj'],
])('%s as %s, and back', async (family, architecture, options, own, theirs) => {
  const config = { ...readRecord(join(import.meta.dirname, '..', '..', 'golden', family, 'config.json')), architectures: [architecture] };
  const model = loadModel(config, options);
  expect(model.modules.map(({ name }) => name)).toContain(own);
  const inMemory = namesInMemory(model, config);
  expect([inMemory(own), inMemory(`${own}.lora_A.weight`)]).toEqual([theirs, `${theirs}.lora_A.weight`]);
  if (options === LABELS) expect(inMemory('classifier')).toBe('classifier');
  const written = { target_modules: [own], modules_to_save: null, rank_pattern: { [own]: 3 }, lora_alpha: 2 };
  expect(configInMemory(written, model, inMemory)).toEqual({ ...written, target_modules: [theirs], rank_pattern: { [theirs]: 3 } });

  if (family === 'vit') return;
  const whole = model.modules.at(-1)?.name ?? '';
  const read = underNamesOf(adapterOf(theirs, inMemory(whole)), model);
  expect(read.description).toMatchObject({ modules: [own, whole], whole: [whole], lora: new Map([[own, { r: 2, alpha: 2 }]]) });
  expect([...read.tensors.keys()]).toEqual([`${own}.lora_A.weight`, `${whole}.weight`]);
  expect([...(await read.readFloat32(`${own}.lora_A.weight`))]).toEqual([`${theirs}.lora_A.weight`.length]);
});

test.each([
  ['lfm3', {}, /^model\.layers\.\d+\.self_attn\.g_proj$/],
  ['lfm3', VECTORS, /^layers\.\d+\.self_attn\.g_proj$/],
  ['afmoe', {}, /^model\.layers\.\d+\.self_attn\.gate_proj$/],
] as const)('gates of attention of %s have the name that the model has in memory, and come back', (family, options, theirs) => {
  const config = readRecord(join(import.meta.dirname, '..', '..', 'golden', family, 'config.json'));
  const model = loadModel(config, options);
  const inMemory = namesInMemory(model, config);
  const gates = model.modules.filter(({ name }) => name.endsWith('self_attn.gate_proj'));
  expect(gates.length).toBeGreaterThan(0);
  for (const { name } of gates) {
    expect(inMemory(name)).toMatch(theirs);
    expect(inMemory(`${name}.lora_A.weight`)).toBe(`${inMemory(name)}.lora_A.weight`);
    const norm = name.replace('gate_proj', 'q_norm');
    expect(underNamesOf(adapterOf(inMemory(name), norm), model).description.modules).toEqual([name, norm]);
  }
});
