/** Tests the parts of HyperCLOVA X and Nemotron that other decoders do not have. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { readRecord } from '../../../support/files/read-json.ts';

const saved = (name: string): ConfigJson => readRecord(join(import.meta.dirname, '..', '..', '..', 'golden', name, 'config.json'));
const namesIn = (name: string, changes: ConfigJson = {}) => causalModel({ ...saved(name), ...changes }).parameters.map(own => own.name);

test('HyperCLOVA X: the logits are multiplied, and a block has norms behind both parts unless use_post_norm is false', () => {
  const config = decoderConfig('HyperCLOVAXForCausalLM', saved('hyperclovax'));
  expect(config).toMatchObject({ logitMultiplier: 0.4, residualMultiplier: 0.7, attention: { scale: 0.2 } });
  expect(decoderConfig('HyperCLOVAXForCausalLM', saved('hyperclovax_plain')).attention.scale).toBeCloseTo(8 ** -0.5, 12);
  const behind = ['model.layers.0.post_norm1.weight', 'model.layers.0.post_norm2.weight'];
  expect(namesIn('hyperclovax')).toEqual(expect.arrayContaining(behind));
  expect(namesIn('hyperclovax', { use_post_norm: false }).filter(name => /post_norm/.test(name))).toEqual([]);
});

test('Nemotron: half of each head rotates unless the config says otherwise, and norms have shifts and count from 1', () => {
  const read = (changes: ConfigJson) => decoderConfig('NemotronForCausalLM', { ...saved('nemotron'), ...changes });
  expect(read({}).norms).toEqual({ epsilon: 1e-5, offset: 1, centered: true, shifted: true });
  const { rope_parameters: _, ...older } = saved('nemotron');
  const features = (config: ConfigJson) => decoderConfig('NemotronForCausalLM', config).positions[0]?.features;
  expect([older, { ...older, partial_rotary_factor: 1 }].map(features)).toEqual([6, 12]);
  expect(namesIn('nemotron')).toContain('model.norm.bias');
  expect(() => read({ rope_percent: 0.25 })).toThrow('rope_percent 0.25 is not supported; supported is 0.5');
});

test('keys of published files are known', () => {
  const hyperClova = { attn_pdrop: 0, embd_pdrop: 0, resid_pdrop: 0, summary_first_dropout: 0, end_token_id: 3, pretraining_tp: 1 };
  expect(unknownConfigKeys({ ...saved('hyperclovax'), ...hyperClova })).toEqual([]);
  expect(unknownConfigKeys({ ...saved('nemotron'), partial_rotary_factor: 0.5, rope_percent: 0.5, rope_pct: 0.5 })).toEqual([]);
});
