/** Keys that Axolotl and LLaMA-Factory share. */
import { type Convert, floatType, none, recompute, set, words } from './foreign-tool.ts';
import { shardingKeys } from './sharding.ts';

const opposite: Convert = value => (typeof value === 'boolean' ? set('data.completion_only', !value) : undefined);
const singleType: Convert = () => none('float32 is the default');
const quantizedAs =
  (form: 'int8' | 'nf4'): Convert =>
  value =>
    value === true ? set('quantize', form) : none('off');
const quantizedBits: Convert = value =>
  value === 4 ? set('quantize', 'nf4') : value === 8 ? set('quantize', 'int8') : none('only 4 and 8 bits are supported');
const ratioOfRate: Convert = (value, recipe) => {
  const rate = Number(recipe.learning_rate ?? recipe.lr);
  return typeof value === 'number' && Number.isFinite(rate) ? set('min_learning_rate', value * rate) : undefined;
};
/** Converts an optimizer. bitsandbytes calls it paged if it moves its state from the GPU to host memory. */
const optimizer: Convert = value => {
  const name = /^paged_(adamw?)(?:_32bit)?(_8bit)?$/.exec(String(value));
  return name ? [...set('optim', `${name[1]}${name[2] ?? ''}`), ...set('optimizer_offload', 'host')] : undefined;
};
const reference: Convert = value => (typeof value === 'boolean' ? set('preference.reference', value ? 'cached' : 'live') : undefined);
export const loraOf: Convert = value => (value === 'qlora' ? [...set('method', 'lora'), ...set('quantize', 'nf4')] : undefined);
/**
 * Converts the initialization of LoRA factors. `true` is PEFT's default; PiSSA with a number of iterations is the same start, computed
 * faster.
 */
const factorStart: Convert = value => {
  if (value === true || value === 'pissa') return set('init_lora_weights', value === true ? 'kaiming' : value);
  return /^pissa_niter_\d+$/.test(String(value)) ? set('init_lora_weights', 'pissa') : none(`'${String(value)}' is not supported`);
};
const targets: Convert = value => set('target_modules', value === 'all' ? 'all-linear' : words(value));

export const sharedKeys: Readonly<Record<string, Convert>> = {
  ...shardingKeys,
  gradient_checkpointing: recompute,
  bf16: floatType,
  fp16: floatType,
  tf32: singleType,
  pure_bf16: floatType,
  load_in_4bit: quantizedAs('nf4'),
  load_in_8bit: quantizedAs('int8'),
  quantization_bit: quantizedBits,
  optim: optimizer,
  optimizer,
  precompute_ref_log_probs: reference,
  train_on_inputs: opposite,
  train_on_prompt: opposite,
  cosine_min_lr_ratio: ratioOfRate,
  finetuning_type: loraOf,
  adapter: loraOf,
  peft_init_lora_weights: factorStart,
  lora_target: targets,
  lora_target_modules: targets,
  gradient_accumulation_steps: value => (typeof value === 'number' ? undefined : none('it must be a number')),
};
