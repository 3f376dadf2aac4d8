/** config.json that cannot be used: each problem is named, and all of one kind in one error. */
import { describe, expect, test } from 'vitest';
import { causalModel, weightMismatches } from '../../../trainer/model/load-model.ts';
import { ModelConfigError } from '../../../trainer/model/model-spec.ts';
import { checkWeights } from '../../../trainer/model/weight-stream.ts';
import { eightBlocks } from '../../support/llama-sizes.ts';

const build = (changes: Readonly<Record<string, unknown>>) => () => causalModel({ ...eightBlocks, ...changes });

describe('config.json', () => {
  test.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
    [
      'an unknown architecture',
      { architectures: ['MambaForCausalLM'] },
      /names the architecture MambaForCausalLM; supported are LlamaForCausalLM/,
    ],
    ['no architecture', { architectures: undefined }, /names no architecture; supported are/],
    ['keys that are missing or out of bounds, all at once', { hidden_size: undefined, vocab_size: 1e9 }, /vocab_size: .*; hidden_size: /],
    [
      'contradictions, all at once',
      { hidden_size: 18, num_key_value_heads: 3, hidden_act: 'wave' },
      /contradicts itself: .*no even head size; .*no multiple of num_key_value_heads 3\. config.json: hidden_act "wave" is not supported/,
    ],
    [
      'a rope scaling of another kind',
      { rope_scaling: { rope_type: 'yarn', factor: 2 } },
      /config.json: rope_scaling.rope_type "yarn" is not supported; supported are "default", "linear"/,
    ],
    ['layer_types of another length', { layer_types: ['full_attention'] }, /layer_types has 1 entries for num_hidden_layers 8/],
  ])('%s', (_, changes, message) => {
    expect(build(changes)).toThrow(ModelConfigError);
    expect(build(changes)).toThrow(message);
  });

  test('every architecture of the family builds from the same sizes', () => {
    for (const architecture of ['LlamaForCausalLM', 'MistralForCausalLM', 'Qwen2ForCausalLM'])
      expect(build({ architectures: [architecture] })().blocks).toBe(8);
  });

  test('older and newer keys of rope mean the same', () => {
    const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 };
    const older = build({ rope_theta: 5e5, rope_scaling: { type: 'llama3', ...scaling } })();
    const newer = build({ rope_parameters: { rope_type: 'llama3', rope_theta: 5e5, ...scaling } })();
    expect(older.parameters).toEqual(newer.parameters);
  });

  test('a tied head is the embedding, and is listed once', () => {
    const tied = build({ tie_word_embeddings: true })();
    expect(tied.head.name).toBe('model.embed_tokens');
    expect(tied.parameters.filter(({ name }) => /embed|head/.test(name)).map(({ name }) => name)).toEqual(['model.embed_tokens.weight']);
  });
});

describe('weights', () => {
  const model = causalModel(eightBlocks);
  const tensors = () => new Map<string, { shape: readonly number[] }>(model.parameters.map(({ name, shape }) => [name, { shape }]));

  test('that fit have no mismatch, and more tensors do no harm', () => {
    expect(weightMismatches(model, tensors().set('extra', { shape: [1] }))).toEqual([]);
  });

  test('that do not fit are all named in one error', () => {
    const found = tensors();
    found.delete('model.layers.3.mlp.up_proj.weight');
    found.set('lm_head.weight', { shape: [16, 40] });
    found.set('model.norm.weight', { shape: [17] });
    expect(() => checkWeights(model, { tensors: found })).toThrow(
      new ModelConfigError(
        [
          'the weights do not fit config.json in 3 places:',
          'model.layers.3.mlp.up_proj.weight [24,16] is missing',
          'model.norm.weight is [17] in the file, [16] by config.json',
          'lm_head.weight is [16,40] in the file, [40,16] by config.json',
        ].join('\n  '),
      ),
    );
  });
});
