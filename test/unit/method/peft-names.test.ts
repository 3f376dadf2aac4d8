/** Tests layer names of ViT, DeiT, DINOv2 and Swin, and of gates, in files and in the memory of Transformers 5, both ways. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nameInFile, nameInMemory, possibleNames } from '../../../trainer/method/peft-names.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import { readRecord } from '../../support/files/read-json.ts';

test.each([
  ['vit.encoder.layer.3.attention.attention.query', 'vit.layers.3.attention.q_proj'],
  ['vit.encoder.layer.3.attention.output.dense.lora_A.weight', 'vit.layers.3.attention.o_proj.lora_A.weight'],
  ['base_model.model.deit.encoder.layer.10.output.dense.lora_B.weight', 'base_model.model.deit.layers.10.mlp.fc2.lora_B.weight'],
  ['vit.encoder.layer.0.intermediate.dense', 'vit.layers.0.mlp.fc1'],
  ['vit.encoder.layer.0.layernorm_before', 'vit.layers.0.layernorm_before'],
  ['dinov2.encoder.layer.1.attention.attention.key', 'dinov2.encoder.layer.1.attention.k_proj'],
  ['dinov2_with_registers.encoder.layer.1.attention.output.dense', 'dinov2_with_registers.encoder.layer.1.attention.o_proj'],
  ['swin.encoder.layers.1.blocks.0.attention.self.value', 'swin.encoder.layers.1.blocks.0.attention.v_proj'],
  ['swin.encoder.layers.1.blocks.0.output.dense.lora_A.weight', 'swin.encoder.layers.1.blocks.0.mlp.fc2.lora_A.weight'],
])('%s', (file, memory) => {
  expect(nameInMemory(file)).toBe(memory);
  expect(nameInFile(memory)).toBe(file);
});

test.each([
  'bert.encoder.layer.0.attention.self.query',
  'model.layers.0.self_attn.q_proj',
  'vit.layernorm',
  'classifier',
  'vit.encoder.layer.0.other',
])('%s stays', name => {
  expect(nameInMemory(name)).toBe(name);
  expect(nameInFile(name)).toBe(name);
});

test.each(['vit', 'deit', 'dinov2', 'dinov2_registers', 'swin'])('every module of a %s comes back', family => {
  const config = readRecord(join(import.meta.dirname, '..', '..', 'golden', family, 'config.json'));
  for (const { name } of loadModel(config).modules) expect(nameInFile(nameInMemory(name))).toBe(name);
});

test('a module may have the name that its model says, because families differ in it', () => {
  const gates = 'model.layers.2.self_attn.gate_proj';
  expect(possibleNames({ name: gates })).toEqual([gates, gates]);
  expect(possibleNames({ name: gates, inMemory: 'model.layers.2.self_attn.g_proj' })).toEqual([gates, 'model.layers.2.self_attn.g_proj']);
  expect(possibleNames({ name: 'embed_out', inMemory: 'lm_head' })).toEqual(['embed_out', 'lm_head']);
});
