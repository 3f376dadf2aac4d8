/** Tests configs of classifiers: every architecture builds, heads are replaced if necessary, and unsupported values are named. */

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readModelHeaders } from '../../../trainer/hub/open-model.ts';
import { headedClass } from '../../../trainer/model/architectures.ts';
import type { ModelOptions } from '../../../trainer/model/config-json.ts';
import { causalModel, loadModel, supportedArchitectures, weightMismatches } from '../../../trainer/model/load-model.ts';
import { type ClassifierModel, ModelConfigError } from '../../../trainer/model/model-spec.ts';
import { weightStream, withInitial } from '../../../trainer/model/weight-stream.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { classifierOf } from '../../support/models/classifier-of.ts';
import { eightBlocks } from '../../support/models/llama-sizes.ts';

type Config = Readonly<Record<string, unknown>>;

const golden = (name: string) => join(import.meta.dirname, '..', '..', 'golden', name);
const configOf = (name: string): Config => readRecord(join(golden(name), 'config.json'));

/** The folder whose config has the sizes of an architecture's family, by the prefix of its name. */
const folders: readonly (readonly [RegExp, string])[] = [
  [/^Bert/, 'bert'],
  [/^(XLM)?Roberta/, 'roberta'],
  [/^Camembert/, 'camembert'],
  [/^DistilBert/, 'distilbert'],
  [/^Electra/, 'electra'],
  [/^Albert/, 'albert'],
  [/^MPNet/, 'mpnet'],
  [/^NomicBert/, 'nomic_bert'],
  [/^EuroBert/, 'eurobert'],
  [/^Ultrabert/, 'ultrabert'],
  [/^Esm/, 'esm'],
  [/^(Gte|New)/, 'gte'],
  [/^ModernBertDecoder/, 'modernbert_decoder'],
  [/^ModernBert/, 'modernbert'],
  [/^Deberta/, 'deberta'],
  [/^ViT/, 'vit'],
  [/^DeiT/, 'deit'],
  [/^Dinov2/, 'dinov2'],
  [/^DINOv3/, 'dinov3'],
  [/^ConvNextV2/, 'convnextv2'],
  [/^ConvNext/, 'convnext'],
  [/^Swin/, 'swin'],
  [/^Lfm2Vl/, 'lfm2_vl'],
  [/^Lfm3Vl/, 'lfm3_vl'],
  [/^MiniCPMV/, 'minicpm_v'],
  [/^LightOnOcr/, 'lighton_ocr'],
  [/^Glm4(v|6V)For/, 'glm4v'],
  [/^GlmOcr/, 'glm_ocr'],
  [/^PaddleOCRVL/, 'paddleocr_vl'],
  [/^InternVL/, 'internvl'],
  [/^Mistral3/, 'mistral3_images'],
  [/^GraniteMoeHybrid/, 'granite4'],
  [/^NemotronH/, 'nemotron_h'],
  [/^FalconH1/, 'falcon_h1'],
  [/^Afmoe/, 'afmoe'],
  [/^Mellum/, 'mellum'],
  [/^Youtu/, 'youtu'],
  [/^OlmoHybrid/, 'olmo_hybrid'],
  [/^Lfm2Moe/, 'lfm2_moe'],
  [/^Glm4MoeLite/, 'glm4_moe_lite'],
  [/^DeepseekV2/, 'deepseek_v2'],
  [/^DeepseekV3/, 'deepseek_v3'],
  [/^Mistral4/, 'mistral4'],
  [/^Apertus/, 'apertus'],
  [/^GPTNeoX/, 'gpt_neox'],
  [/^GPT2/, 'gpt2'],
  [/^Starcoder2/, 'starcoder2'],
  [/^StableLm/, 'stablelm'],
  [/^Phi(?!3)/, 'phi'],
  [/^VaultGemma/, 'vaultgemma'],
  [/^Gemma3nForConditional/, 'gemma3n_text'],
  [/^Gemma3n/, 'gemma3n'],
  [/^Jais2/, 'jais2'],
  [/^Helium/, 'helium'],
  [/^GraniteMoeSWA/, 'granitemoe_swa'],
  [/^GraniteMoe(?!Hybrid)/, 'granitemoe'],
  [/^HyperCLOVAX/, 'hyperclovax'],
  [/^Nemotron(?!H)/, 'nemotron'],
  [/^Qwen2Moe/, 'qwen2_moe'],
  [/^Cohere2Moe/, 'cohere2_moe'],
  [/^Cohere(?!2)/, 'cohere'],
  [/^Cwm/, 'cwm'],
  [/^NanoChat/, 'nanochat'],
  [/^Flint/, 'flint'],
  [/^Kolibri1/, 'kolibri1'],
  [/^Glm4Moe/, 'glm4_moe'],
  [/^Glm/, 'glm4'],
  [/^Olmoe/, 'olmoe'],
  [/^Exaone4/, 'exaone4'],
  [/^SeedOss/, 'seed_oss'],
  [/^HunYuanDenseV1/, 'hunyuan'],
  [/^Qwen3VLMoe/, 'qwen3_vl_moe'],
  [/^Qwen3VL/, 'qwen3_vl'],
  [/^Qwen2VL/, 'qwen2_vl'],
  [/^Qwen2_5_VL/, 'qwen2_5_vl'],
  [/^Qwen3_5ForConditional/, 'qwen3_5_images'],
  [/^Qwen3_5MoeForConditional/, 'qwen3_5_moe_images'],
  [/^Qwen3_5Moe/, 'qwen3_5_moe'],
  [/^Qwen3_5/, 'qwen3_5'],
  [/^Qwen3Next/, 'qwen3_next'],
  [/^Siglip/, 'siglip'],
  [/^SmolVLM/, 'smolvlm'],
  [/^Idefics3/, 'idefics3'],
  [/^ResNet/, 'resnet'],
  [/^TimmWrapper/, 'timm_resnext'],
];

const fresh = (model: ClassifierModel): string[] => model.parameters.filter(({ initial }) => initial).map(({ name }) => name);

describe('architectures', () => {
  test.each(supportedArchitectures)('%s builds', architecture => {
    const folder = folders.find(([pattern]) => pattern.test(architecture))?.[1];
    const model = loadModel({ ...(folder ? configOf(folder) : eightBlocks), architectures: [architecture] });
    expect(model.modules.length).toBeGreaterThan(8);
    const names = model.parameters.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(new Set(model.modules.map(({ name }) => name)).size).toBe(model.modules.length);
  });

  test('a decoder with a head for whole texts has the class of its family, if there is one', () => {
    const classes = ['DeepseekV3ForCausalLM', 'Gemma3ForCausalLM', 'GraniteForCausalLM'] as const;
    expect(classes.map(name => headedClass(name, 'regression'))).toEqual([
      'DeepseekV3ForSequenceClassification',
      'Gemma3TextForSequenceClassification',
      'GraniteForCausalLM',
    ]);
  });

  test('an encoder without a head gets a new one, and no prefix', () => {
    expect(fresh(classifierOf({ ...configOf('bert'), architectures: ['BertModel'] }))).toEqual(['classifier.weight', 'classifier.bias']);
    expect(fresh(classifierOf({ ...configOf('bert'), architectures: ['BertForMaskedLM'] }))).toEqual([
      'bert.pooler.dense.weight',
      'bert.pooler.dense.bias',
      'classifier.weight',
      'classifier.bias',
    ]);
    expect(classifierOf({ ...configOf('vit'), architectures: ['ViTModel'] }).parameters.map(({ name }) => name)).toContain(
      'layernorm.weight',
    );
  });

  test('a published model that names no architecture is known by its type', () => {
    const model = classifierOf({ ...configOf('deberta'), architectures: undefined }, { labels: ['no', 'yes'] });
    expect(model.family).toBe('deberta-v2');
    expect(fresh(model)).toEqual(['pooler.dense.weight', 'pooler.dense.bias', 'classifier.weight', 'classifier.bias']);
  });

  test('a classifier is no language model', () => {
    expect(() => causalModel(configOf('bert'))).toThrow('of the family bert, which classifies');
  });
});

describe('labels', () => {
  test('come from the config, in the order of their numbers', () => {
    const id2label = { 10: 'k', 2: 'c', 1: 'b', 0: 'a' };
    expect(classifierOf({ ...configOf('bert'), id2label }).labels).toEqual(['a', 'b', 'c', 'k']);
  });

  test('as many others keep the head; another number replaces it', () => {
    const config = configOf('vit');
    const kept = classifierOf(config, { labels: ['a', 'b', 'c', 'd', 'e'] });
    expect([kept.labels, fresh(kept)]).toEqual([['a', 'b', 'c', 'd', 'e'], []]);
    const replaced = classifierOf(config, { labels: ['a', 'b'] });
    expect(fresh(replaced)).toEqual(['classifier.weight', 'classifier.bias']);
    expect(replaced.heads.map(({ weight }) => weight.shape)).toEqual([[2, 32]]);
  });

  test('both heads of a distilled model are replaced', () => {
    expect(fresh(classifierOf(configOf('deit_teacher'), { labels: ['a', 'b'] }))).toEqual([
      'cls_classifier.weight',
      'cls_classifier.bias',
      'distillation_classifier.weight',
      'distillation_classifier.bias',
    ]);
  });

  test('a task whose labels only the data tells has two, if the config has one', () => {
    const config = { ...configOf('bert'), id2label: undefined, num_labels: 1 };
    expect(classifierOf(config, { problem: 'token_label' }).labels).toEqual(['LABEL_0', 'LABEL_1']);
    expect(classifierOf(config).problem).toBe('regression');
  });

  test('one number is a regression', () => {
    expect(classifierOf(configOf('deberta_regression')).problem).toBe('regression');
    expect(classifierOf(configOf('bert'), { labels: ['score'] }).problem).toBe('regression');
  });

  test.each<[string, Config, ModelOptions, RegExp]>([
    ['several labels of a regression', { problem_type: 'regression' }, {}, /"regression" has one number to predict, num_labels says 3/],
    ['one label alone', {}, { labels: ['a'], problem: 'single_label' }, /num_labels 1 leaves nothing to tell apart/],
  ])('%s', (_, changes, options, message) => {
    expect(() => classifierOf({ ...configOf('bert'), ...changes }, options)).toThrow(message);
  });
});

describe('what is not supported is named, with what is', () => {
  test.each<[string, string, Config, RegExp]>([
    ['relative keys', 'bert', { position_embedding_type: 'relative_key' }, /position_embedding_type "relative_key" .* is "absolute"/],
    ['an activation', 'vit', { hidden_act: 'wave' }, /config.json: hidden_act "wave" is not supported; supported are "silu", .*"gelu"/],
    ['heads that do not divide', 'bert', { num_attention_heads: 5 }, /hidden_size 32 is not a multiple of num_attention_heads 5/],
    [
      'several at once',
      'bert',
      { hidden_act: 'wave', is_decoder: true },
      /config.json: is_decoder true is not supported; supported is false; hidden_act "wave" is not supported/,
    ],
    ['two names of one size', 'distilbert', { hidden_size: 64 }, /hidden_size 64 is not supported; supported is 32/],
    ['heads of DistilBERT', 'distilbert', { n_heads: 5 }, /dim 32 is not a multiple of n_heads 5/],
    [
      'groups without a layer',
      'albert_groups',
      { num_hidden_groups: 6 },
      /num_hidden_groups 6 is more than num_hidden_layers 5, so some groups would have no layer/,
    ],
    ['a convolution in DeBERTa', 'deberta', { conv_kernel_size: 3 }, /conv_kernel_size 3 is not supported; supported is 0/],
    ['attention by content alone', 'deberta', { relative_attention: false }, /relative_attention false is not supported/],
    [
      'positions to positions',
      'deberta',
      { pos_att_type: 'p2p|c2p' },
      /pos_att_type \["p2p"\] is not supported; supported are "c2p", "p2c"/,
    ],
    ['patches that do not fit', 'vit', { patch_size: 40 }, /patch_size \[40,40\] is larger than image_size \[32,32\]/],
    ['depths of another number', 'resnet', { depths: [2] }, /depths has 1 entries, hidden_sizes has 2/],
    ['a window larger than a stage', 'swin', { window_size: 5 }, /window_size 5 is larger than the 4 × 4 places of stage 1/],
    [
      'heads that do not divide a stage',
      'swin',
      { num_heads: [2, 3] },
      /num_heads has 3, which does not divide the 16 features of stage 1/,
    ],
    ['stages of another number', 'convnextv2', { num_stages: 3 }, /depths has 2 entries, num_stages says 3/],
    ['a table that is no square', 'dinov2', { image_size: [16, 12] }, /gives a table of 4 × 3 patches, which is not square/],
    [
      'another timm model',
      'timm_resnet',
      { architecture: 'resnet50d' },
      /timm's architecture resnet50d, which is not supported: it needs a deep stem, .*; the nearest supported model is resnet50 \(docs/,
    ],
    [
      'the second Swin of timm',
      'timm_swin',
      { architecture: 'swinv2_tiny_window8_256' },
      /swinv2_tiny_window8_256, which is not supported: it needs cosine attention .*; the nearest supported model is swin_tiny_patch4/,
    ],
    ['an argument of timm', 'timm_resnet', { model_args: { stem_type: 'deep' } }, /model_args.*stem_type/s],
    [
      'stages of another number in timm',
      'timm_convnext',
      { model_args: { depths: [1, 1] } },
      /convnext_tiny of timm \(model_args\): depths: .*4/,
    ],
    [
      'an image too small for timm',
      'timm_convnext',
      { pretrained_cfg: { input_size: [3, 16, 16] } },
      /patch_size \[32,32\] is larger than image_size \[16,16\]/,
    ],
    [
      'an oblong image of which one window covers a side',
      'timm_swin',
      { model_args: { img_size: [16, 32], patch_size: 2, window_size: 4, embed_dim: 8, depths: [2, 2], num_heads: [2, 4] } },
      /model_args.img_size \[16,32\] is not supported; supported is a square image/,
    ],
    [
      'heads that do not divide a stage of timm',
      'timm_swin',
      { model_args: { img_size: 16, patch_size: 2, window_size: 4, embed_dim: 8, depths: [2, 2], num_heads: [2, 3] } },
      /num_heads has 3, which does not divide the 16 features of stage 1/,
    ],
    [
      'another pooling of timm',
      'timm_vit',
      { global_pool: 'avg', model_args: {} },
      /global_pool "avg" is not supported; supported is "token"/,
    ],
  ])('%s', (_, folder, changes, message) => {
    const build = () => loadModel({ ...configOf(folder), ...changes });
    expect(build).toThrow(ModelConfigError);
    expect(build).toThrow(message);
  });
});

describe('weights', () => {
  test('a new head starts from its seed, and nothing of it is asked of the file', async () => {
    const { config, tensors } = await readModelHeaders(golden('vit'));
    const model = classifierOf(config, { labels: ['a', 'b'], headSeed: 7 });
    expect(weightMismatches(model, tensors)).toEqual([]);
    const file = { tensors, readFloat32: async () => new Float32Array(1) };
    const read = async (weights: typeof file) => {
      const found = new Map<string, ArrayLike<number>>();
      for await (const { name, data } of weightStream(model, weights)) if (data !== 'zeros') found.set(name, data);
      return found;
    };
    const [first, again] = [await read(file), await read(file)];
    const weight = Array.from(first.get('classifier.weight') ?? []);
    expect(weight.length).toBe(64);
    expect(again.get('classifier.weight')).toEqual(first.get('classifier.weight'));
    expect(Math.sqrt(weight.reduce((sum, w) => sum + w * w, 0) / 64)).toBeCloseTo(0.02, 2);
    expect(first.get('classifier.bias')).toEqual(new Float32Array(2));
    const other = classifierOf(config, { labels: ['a', 'b'], headSeed: 8 });
    expect(await withInitial(other, file).readFloat32('classifier.weight')).not.toEqual(first.get('classifier.weight'));
  });

  test('trained values of a new head stand in place of its start', async () => {
    const { config, tensors } = await readModelHeaders(golden('vit'));
    const model = classifierOf(config, { labels: ['a', 'b'] });
    const trained = new Float32Array(64).fill(3);
    const source = withInitial(model, { tensors, readFloat32: async () => new Float32Array(1) });
    const overlaid = {
      ...source,
      readFloat32: async (name: string) => (name === 'classifier.weight' ? trained : source.readFloat32(name)),
    };
    for await (const { name, data } of weightStream(model, overlaid)) if (name === 'classifier.weight') expect(data).toBe(trained);
  });

  test('buffers are parameters that no gradient reaches', () => {
    const { parameters } = classifierOf(configOf('resnet'));
    const buffers = parameters.filter(({ buffer }) => buffer).map(({ name }) => name);
    expect(buffers.length).toBe(30);
    expect(buffers.every(name => /running_(mean|var)$/.test(name))).toBe(true);
  });
});
