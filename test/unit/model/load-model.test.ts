/** Tests unusable config.json files: each problem is named, and all of one kind in one error. */
import { describe, expect, test } from 'vitest';
import { causalModel, loadModel, supportedArchitectures, weightMismatches } from '../../../trainer/model/load-model.ts';
import { missingOfTimm, missingParts } from '../../../trainer/model/missing-parts.ts';
import { ModelConfigError } from '../../../trainer/model/model-spec.ts';
import { supportedByName } from '../../../trainer/model/unsupported-architecture.ts';
import { checkWeights } from '../../../trainer/model/weight-stream.ts';
import { eightBlocks } from '../../support/models/llama-sizes.ts';

const build = (changes: Readonly<Record<string, unknown>>) => () => causalModel({ ...eightBlocks, ...changes });

describe('config.json', () => {
  test.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
    [
      'an unknown architecture: what it needs, and the nearest that is supported',
      { architectures: ['MambaForCausalLM'] },
      /MambaForCausalLM, which is not supported: it needs state-space layers; the nearest supported class is GraniteMoeHybridForCausalLM \(docs/,
    ],
    [
      'one whose config says what it needs',
      { architectures: ['NewestForCausalLM'], kv_lora_rank: 512, is_encoder_decoder: true },
      /NewestForCausalLM, which is not supported: it needs multi-head latent attention of this kind and an encoder in addition to the decoder; the nearest/,
    ],
    [
      'one with a nearer family',
      { architectures: ['Qwen4ExpForCausalLM'] },
      /it needs hashed n-grams and several residual streams; the nearest supported class is Qwen3_5MoeForCausalLM/,
    ],
    [
      'a language model by the name of its class with images, and not by a head for classes',
      { architectures: ['Llama4ForConditionalGeneration'] },
      /; the nearest supported class is Qwen3MoeForCausalLM/,
    ],
    [
      'files for code of their own',
      { architectures: ['InternVLChatModel'] },
      /it needs the form of files that Transformers reads, .* in -hf or -HF; the nearest supported class is InternVLForConditionalGeneration/,
    ],
    ['an old name of language models', { architectures: ['OpenAIGPTLMHeadModel'] }, /; the nearest supported class is LlamaForCausalLM/],
    [
      'the second Swin, which is no misspelled Swin',
      { architectures: ['Swinv2ForImageClassification'] },
      /Swinv2ForImageClassification, which is not supported: it needs cosine attention .*; the nearest supported class is SwinForImageClassification/,
    ],
    [
      'an encoder, for a task that nothing here is for',
      { architectures: ['FNetForQuestionAnswering'] },
      /it needs Fourier transforms .*; the nearest supported class is BertForSequenceClassification/,
    ],
    [
      'a supported family with a head that is not',
      { architectures: ['BertForQuestionAnswering'] },
      /BertForQuestionAnswering, which is not supported: it needs another head; the nearest supported class is BertForSequenceClassification/,
    ],
    [
      'a supported mixture of experts with a head that is not',
      { architectures: ['GraniteForSequenceClassification'] },
      /: it needs another head; the nearest supported class is GraniteForCausalLM/,
    ],
    [
      'a vision model whose name says two things',
      { architectures: ['Data2VecVisionForImageClassification'] },
      /: it needs position biases in the attention of a vision transformer; the nearest supported class is ViT/,
    ],
    [
      'a text part of an unknown kind, whatever its name',
      { architectures: ['Mistral3ForConditionalGeneration'], text_config: { model_type: 'constructor' } },
      /text_config\.model_type.*constructor/,
    ],
    [
      'a misspelled one',
      { architectures: ['LamaForCausalLM'] },
      /LamaForCausalLM, which is not supported; the nearest supported class is LlamaForCausalLM/,
    ],
    ['one of another kind', { architectures: ['FooForImageClassification'] }, /the nearest supported class is ViTForImageClassification/],
    ['a bare class, which says nothing of the task', { architectures: ['FooModel'] }, /FooModel, which is not supported \(/],
    ['no architecture', { architectures: undefined }, /names no architecture: add "architectures"/],
    [
      'a type that leaves it open',
      { architectures: undefined, model_type: 'llama' },
      /no architecture, and model_type llama does not tell which: add "architectures"/,
    ],
    ['keys that are missing or out of bounds, all at once', { hidden_size: undefined, vocab_size: 1e9 }, /vocab_size: .*; hidden_size: /],
    [
      'contradictions, all at once',
      { hidden_size: 18, num_key_value_heads: 3, hidden_act: 'wave' },
      /contradicts itself: .*no even head size; .*not a multiple of num_key_value_heads 3\. config.json: hidden_act "wave" is not supported/,
    ],
    [
      'a rope scaling of another kind',
      { rope_scaling: { rope_type: 'wave', factor: 2 } },
      /config.json: rope_scaling.rope_type "wave" is not supported; supported are "default", "linear"/,
    ],
    [
      'a kind that the family does not have',
      { architectures: ['Phi3ForCausalLM'], rope_parameters: { rope_type: 'linear', factor: 2 } },
      /rope_parameters.rope_type "linear" is not supported; supported are "default", "longrope"/,
    ],
    [
      'rope factors of the wrong length, each with its key',
      { rope_scaling: { type: 'longrope', short_factor: [1, 1, 1], long_factor: [1] } },
      /rope_scaling.short_factor has 3 factors, and 4 rotated features have 2 pairs.*; rope_scaling.long_factor has 1 factors/,
    ],
    [
      'no rope factors',
      { rope_parameters: { rope_type: 'longrope', long_factor: [1, 1] } },
      /rope_parameters of the type "longrope" needs short_factor: the factor of each pair of features in short texts/,
    ],
    [
      'a part of a head that is no pairs',
      { architectures: ['Phi3ForCausalLM'], partial_rotary_factor: 0.4 },
      /partial_rotary_factor 0.4 of a head of 4 features rotates 1: rotary positions rotate pairs/,
    ],
    [
      'a part of a head where the family turns all of it',
      { rope_parameters: { partial_rotary_factor: 0.5 } },
      /rope_parameters.partial_rotary_factor 0.5 is not supported; supported is 1/,
    ],
    [
      'queries that grow by nothing',
      { architectures: ['Ministral3ForCausalLM'], rope_parameters: { rope_type: 'default' } },
      /rope_parameters needs llama_4_scaling_beta/,
    ],
    [
      'queries that grow in a family without that',
      { rope_parameters: { llama_4_scaling_beta: 0.1 } },
      /rope_parameters.llama_4_scaling_beta 0.1 is not supported/,
    ],
    [
      'positions that are not finite',
      { rope_scaling: { type: 'longrope', short_factor: [1, 1], long_factor: [1, 1], original_max_position_embeddings: 1 } },
      /rope_scaling gives positions that are not finite/,
    ],
    [
      'a type of layers that is not computed',
      { architectures: ['Qwen3ForCausalLM'], head_dim: 4, layer_types: Array(8).fill('linear_attention') },
      /layer_types\.0 "linear_attention" is not supported; supported are "full_attention", "sliding_attention"/,
    ],
    [
      'windows without a size in layers that have them without being asked',
      { architectures: ['Gemma2ForCausalLM'], head_dim: 4, sliding_window: null },
      /sliding_window is null, and 4 of the 8 layers of this family have a window: say how many tokens such a layer sees/,
    ],
    [
      'windows without a size in layers that are listed',
      { architectures: ['Gemma3ForCausalLM'], head_dim: 4, sliding_window: null, layer_types: Array(8).fill('sliding_attention') },
      /sliding_window is null, and layer_types has "sliding_attention"/,
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

  test('positions that the config stretches leave room for longer texts', () => {
    const dynamic = { rope_scaling: { type: 'dynamic', factor: 2.5 } };
    expect(build(dynamic)().maxPositions).toBe(160);
    expect(build(dynamic)().ropeRescaling).toEqual({ length: 64, isReread: false });
    const longrope = { type: 'su', short_factor: [1, 1], long_factor: [1, 2] };
    const phi = { architectures: ['Phi3ForCausalLM'], max_position_embeddings: 8192, rope_scaling: longrope };
    expect(build(phi)().ropeRescaling).toEqual({ length: 4096, isReread: true });
    expect(build({})().ropeRescaling).toBeUndefined();
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

  test('with all parameters fit, even with further tensors', () => {
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

test('a class that is known to need something else is no misspelling of a supported one', () => {
  expect(supportedByName('Swinv2ForImageClassification', supportedArchitectures)).toBeUndefined();
  expect(supportedByName('SwimForImageClassification', supportedArchitectures)).toBe('SwinForImageClassification');
});

test('every suggested nearest class is supported', () => {
  for (const { nearest } of missingParts)
    if (nearest !== undefined)
      expect(
        supportedArchitectures.some(name => name.startsWith(`${nearest}For`)),
        nearest,
      ).toBe(true);
  for (const { nearest } of missingOfTimm) {
    const build = () => loadModel({ architecture: nearest, num_classes: 2 });
    expect(build, nearest).not.toThrow();
  }
});
