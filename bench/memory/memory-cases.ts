/** The configurations whose memory is measured: methods, recompute levels and model families. */
import type { EngineName } from '../../trainer/engine/engine.ts';
import { benchConfigs } from '../bench-models.ts';
import { type Config, decoderModels, familyModels, goldenConfig, miniLm, smallLlama, smolLm2 } from './memory-models.ts';

export interface MemoryCase {
  readonly model: string;
  readonly config: Config;
  readonly task: string;
  readonly recipe: string;
  readonly engine: EngineName;
  readonly steps?: number;
  /** Config of the reward model that scores answers. */
  readonly judge?: Config;
}

/** Number of steps per process: the first compiles, and the peak of the second is that of all others. */
export const STEPS = 3;
/** Number of steps of tiny models; their memory is mostly JavaScript's, which settles later. */
export const STEPS_OF_TINY = 20;
/** Number of processes that measure a step whose memory varies; the result is the median. */
export const SEVERAL_PROCESSES = 3;
/** Number of processes if the first few differ by more than {@link WIDE_SPREAD}: then the median of few is not accurate enough. */
export const MANY_PROCESSES = 9;
/** Largest difference between the first few processes, as a fraction of the smallest, at which they suffice. */
export const WIDE_SPREAD = 0.05;
/** Number of steps of the long run. */
export const LONG_STEPS = 1000;

/** Methods and their variants, at the size of MiniLM. */
const VARIANTS: readonly string[] = [
  'method: spsft; r: 8',
  'ratio: 0.05',
  'r: 8; dependencies: true',
  'r: 8; trains: columns',
  'r: 8; trains: coupled',
  'method: spsft+lora; r: 8',
  'method: lora; r: 8; lora_dropout: 0.1',
  'method: lora; r: 8',
  'method: lora; r: 8; init_lora_weights: pissa',
  'method: dora; r: 8',
  'method: rosa; r: 8',
  'method: vera; r: 64',
  'method: bitfit',
  'method: head',
  'method: full',
  'r: 8; gradient_accumulation_steps: 4',
  'r: 8; max_grad_norm: 0',
  'method: full; gradient_accumulation_steps: 2',
  'method: full; max_grad_norm: 0',
  'method: full; optim: adamw_8bit',
  'method: full; optimizer_offload: disk',
  'r: 8; dtype: bfloat16',
  'method: lora; r: 8; dtype: bfloat16',
  'r: 8; quantize: nf4',
  'r: 8; trains: columns; quantize: nf4',
  'r: 8; trains: coupled; quantize: int8',
  'method: lora; r: 8; quantize: int8',
  'method: lora; r: 8; quantize: nf4; dtype: bfloat16; optim: adamw_8bit',
  // Evaluation takes more memory than training.
  'r: 8; per_device_eval_batch_size: 64',
];

/** The engine whose programs are compiled, on the processor. */
const PJRT: EngineName = 'pjrt';

/** Maximum tokens of a sample, by task. */
const lengths = { causal_lm: 'max_length: 256; ', sequence_classification: 'max_length: 128; ', image_classification: '' } as const;
const inSmallBatches = 'per_device_train_batch_size: 2; per_device_eval_batch_size: 2';

type CaseOf = (recipe: string, engine?: EngineName) => MemoryCase;

/** Creates the cases of one model. */
const casesOf =
  (model: string, config: Config, task: string, settings = ''): CaseOf =>
  (recipe, engine = 'tensorflow') => ({ model, config, task, recipe: settings ? `${recipe}; ${settings}` : recipe, engine });

const ofMiniLm = casesOf('MiniLM', miniLm, 'sequence_classification', 'max_length: 128; per_device_train_batch_size: 8');
const shortMiniLm = casesOf(
  'MiniLM',
  miniLm,
  'sequence_classification',
  'recompute: none; max_length: 32; per_device_train_batch_size: 4; per_device_eval_batch_size: 4',
);
const ofSmallLlama = casesOf('small Llama', smallLlama, 'causal_lm', `max_length: 128; ${inSmallBatches}`);
const ofDistilled = casesOf('small Llama, distilled', smallLlama, 'distillation', `max_length: 256; ${inSmallBatches}`);
const answering = `max_length: 128; val_size: 4; recompute: block; ${inSmallBatches.replaceAll('2', '4')}`;
const ofAnswering = (model: string, config: Config, checks: string, judge?: Config): MemoryCase => ({
  ...casesOf(model, config, 'causal_lm', answering)(`method: lora; r: 8; eval_generation: {${checks}, max_samples: 4, max_new_tokens: 64}`),
  ...(judge && { judge }),
});
const ofSmolLm2 = casesOf('SmolLM2-135M', smolLm2, 'causal_lm', `max_length: 256; ${inSmallBatches}`);
const ofLongSmolLm2 = casesOf(
  'SmolLM2-135M',
  smolLm2,
  'causal_lm',
  'max_length: 2048; per_device_train_batch_size: 1; per_device_eval_batch_size: 1',
);
const ofDeberta = casesOf('DeBERTa-base', benchConfigs.deberta, 'sequence_classification', `max_length: 128; ${inSmallBatches}`);
const ofVitSmall = casesOf(
  'ViT-small',
  benchConfigs.vit,
  'image_classification',
  'per_device_train_batch_size: 4; per_device_eval_batch_size: 4',
);
const ofResNet = casesOf('ResNet-50', benchConfigs.resnet, 'image_classification', inSmallBatches);
const ofSentences = casesOf('MiniLM embeddings', miniLm, 'embedding');
const inSentences = (batch: number): string => `r: 8; recompute: cheap; max_length: 64; per_device_train_batch_size: ${batch}`;

/** @param root folder of the golden models */
function tinyCases(root: string): MemoryCase[] {
  const tiny = (name: string, task: string, settings?: string): CaseOf => {
    const ofTiny = casesOf(`tiny ${name}`, goldenConfig(root, name), task, settings);
    return (recipe, engine) => ({ ...ofTiny(recipe, engine), steps: STEPS_OF_TINY });
  };
  const [llama, vit] = [tiny('llama', 'causal_lm', 'max_length: 16'), tiny('vit', 'image_classification')];
  const long = 'r: 2; gradient_accumulation_steps: 2; recompute: none';
  return [
    { ...llama(long), steps: LONG_STEPS },
    { ...llama(long, 'portable'), steps: LONG_STEPS },
    { ...llama(long, PJRT), steps: LONG_STEPS },
    llama('r: 2; recompute: none'),
    llama('method: lora; r: 2; lora_dropout: 0.1; recompute: block'),
    tiny('bert', 'sequence_classification', 'max_length: 16')('r: 2; recompute: none'),
    tiny('deberta', 'sequence_classification', 'max_length: 16')('r: 2; recompute: none'),
    vit('r: 2; recompute: none'),
    tiny('resnet', 'image_classification')('r: 2; recompute: none'),
    llama('r: 2; recompute: none', 'portable'),
    vit('r: 2; recompute: none', 'portable'),
    llama('r: 2; recompute: none', PJRT),
    vit('r: 2; recompute: none', PJRT),
  ];
}

/** The methods, levels and precisions that a compiler treats most differently, and a step of each family. */
const ON_PJRT: readonly MemoryCase[] = [
  ...[
    'r: 8',
    'method: lora; r: 8; lora_dropout: 0.1',
    'method: full',
    'method: full; optim: adamw_8bit',
    'r: 8; dtype: bfloat16',
    'r: 8; quantize: nf4',
  ].map(variant => ofMiniLm(`${variant}; recompute: cheap`, PJRT)),
  ofMiniLm('r: 8; recompute: none', PJRT),
  ofMiniLm('r: 8; recompute: block', PJRT),
  ofSentences(inSentences(64), PJRT),
  ofSmallLlama('method: full; recompute: block', PJRT),
  ofSmallLlama('method: lora; r: 8; dtype: bfloat16; recompute: none', PJRT),
];

const SMALL: readonly MemoryCase[] = [
  ...VARIANTS.map(variant => ofMiniLm(`${variant}; recompute: cheap`)),
  ofMiniLm('r: 8; recompute: none'),
  ofMiniLm('r: 8; recompute: block'),
  ...[16, 64, 256].map(batch => ofSentences(inSentences(batch))),
  ...[64, 256, 1024].map(batch => ofSentences(`${inSentences(batch)}; embedding: {mini_batch_size: 16}`)),
  ofSentences(
    `${inSentences(64)}; embedding: {mini_batch_size: 12, loss_type: symmetric, negatives: 1, matryoshka_dims: [384, 128]}; method: lora`,
  ),
  ofDistilled('method: lora; r: 8; recompute: cheap; distillation: {logits: teacher.safetensors, top_k: 32}'),
  ofAnswering('small Llama, answers', smallLlama, 'checks: [json]'),
  ofAnswering('small Llama, answers', smallLlama, 'reward_model: MiniLM', miniLm),
  shortMiniLm('r: 8', 'portable'),
  shortMiniLm('method: lora; r: 8; lora_dropout: 0.1', 'portable'),
  shortMiniLm('method: full', 'portable'),
  ofSmallLlama('method: full; recompute: block', 'portable'),
  ofSmallLlama('method: lora; r: 8; dtype: bfloat16; recompute: none', 'portable'),
  ...ON_PJRT,
];

const LARGE: readonly MemoryCase[] = [
  ...['none', 'cheap', 'block', 'sqrt'].flatMap(level =>
    ['r: 32', 'method: lora; r: 16; lora_dropout: 0.1', 'method: full'].map(method => ofSmolLm2(`${method}; recompute: ${level}`)),
  ),
  // The layers with the widest inputs, with the same number of parameters for rows and columns.
  ...['none', 'cheap', 'block'].flatMap(level =>
    ['r: 32', 'trains: columns; r: 59'].map(unit => ofSmolLm2(`${unit}; target_modules: [o_proj, down_proj]; recompute: ${level}`)),
  ),
  ofSmolLm2('trains: coupled; r: 32; recompute: cheap'),
  ofSmolLm2('method: full; optimizer_offload: disk; recompute: block'),
  ofSmolLm2('method: lora; r: 16; recompute: cheap'),
  ofSmolLm2('method: lora; r: 16; optim: adamw_8bit; recompute: cheap'),
  ofSmolLm2('method: dora; r: 16; lora_dropout: 0.1; recompute: cheap'),
  ofAnswering('SmolLM2-135M, answers', smolLm2, 'checks: [json]'),
  ofAnswering('SmolLM2-135M, answers', smolLm2, 'reward_model: MiniLM', miniLm),
  ofAnswering('SmolLM2-135M, answers', smolLm2, 'reward_model: SmolLM2-135M', {
    ...smolLm2,
    architectures: ['LlamaForSequenceClassification'],
  }),
  ofSmolLm2('r: 32; dtype: bfloat16; recompute: block'),
  ofSmolLm2('method: lora; r: 16; quantize: nf4; recompute: block'),
  ofLongSmolLm2('r: 32; recompute: block'),
  ofDeberta('r: 8; recompute: cheap'),
  ofDeberta('method: lora; r: 8; recompute: block'),
  ofVitSmall('r: 8; recompute: cheap'),
  ofVitSmall('method: lora; r: 8; recompute: none'),
  ofResNet('r: 8; recompute: cheap'),
  ofResNet('r: 8; dtype: bfloat16; recompute: cheap'),
  ofResNet('ratio: 0.05; dependencies: true; recompute: none'),
  ...Object.entries({ ...decoderModels, ...familyModels }).flatMap(([model, { config, task }]) => {
    const ofFamily = casesOf(model, config, task, `${lengths[task]}${inSmallBatches}`);
    return [ofFamily('r: 8; recompute: cheap'), ofFamily('method: lora; r: 8; recompute: none'), ofFamily('r: 8; recompute: cheap', PJRT)];
  }),
  ofSmolLm2('r: 32; recompute: cheap', PJRT),
  ofSmolLm2('r: 32; recompute: block', PJRT),
  ofSmolLm2('method: lora; r: 16; recompute: none', PJRT),
  ofSmolLm2('method: full; recompute: block', PJRT),
  ofSmolLm2('r: 32; dtype: bfloat16; recompute: block', PJRT),
  ofDeberta('r: 8; recompute: cheap', PJRT),
  ofVitSmall('r: 8; recompute: cheap', PJRT),
  ofResNet('r: 8; recompute: cheap', PJRT),
];

/**
 * Returns all cases.
 *
 * @param root folder of the golden models
 * @param quick true for only tiny models and MiniLM
 */
export function memoryCases({ root, quick }: { readonly root: string; readonly quick: boolean }): MemoryCase[] {
  return [...tinyCases(root), ...SMALL, ...(quick ? [] : LARGE)];
}
