/** Tests DeepSpeed and FSDP configs in other tools' recipes: what they offload. */
import { expect, it } from 'vitest';
import { convertRecipe } from '../../../trainer/lint/convert-recipe.ts';
import { required } from '../../../trainer/narrow.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';

const converted = (text: string): string => required(convertRecipe(text, false), 'a recipe of another tool').text;

const FACTORY = 'model_name_or_path: m\nfinetuning_type: lora\n';
it.each([
  ['a file of DeepSpeed by its stage', `${FACTORY}deepspeed: ds_z3_offload_config.json\n`, true],
  ['a file of DeepSpeed by its name', `${FACTORY}deepspeed: zero3_bf16_cpuoffload_params.json\n`, false],
  [
    'DeepSpeed',
    `${FACTORY}deepspeed: {zero_optimization: {stage: 3, offload_param: {device: cpu}, offload_optimizer: {device: cpu}}}\n`,
    true,
  ],
  ['DeepSpeed, on a disk', `${FACTORY}deepspeed: {zero_optimization: {offload_param: {device: nvme}}}\n`, false],
  [
    'FSDP',
    'base_model: m\nadapter: lora\nmicro_batch_size: 1\nfsdp: [full_shard, offload]\nfsdp_config: {fsdp_offload_params: true}\n',
    true,
  ],
  [
    'torchtune',
    'model: {_component_: a.lora_llama3_8b}\noptimizer: {_component_: torch.optim.AdamW}\ncheckpointer: {checkpoint_dir: m}\nfsdp_cpu_offload: true\n',
    true,
  ],
])('parameters on the host: %s', (_, text, hasState) => {
  const found = converted(text);
  expect(found).toMatch(/^engine: pjrt/m);
  expect(found).toMatch(/^base_offload: host/m);
  expect(/^optimizer_offload: host/m.test(found)).toBe(hasState);
  expect(parseRecipe(found).problems.filter(({ severity }) => severity === 'error')).toEqual([]);
});

it.each([
  ['DeepSpeed', 'model_name_or_path: m\nfinetuning_type: full\ndeepspeed: ds_z3_offload_config.json\n'],
  ['FSDP', 'base_model: m\nmicro_batch_size: 1\nfsdp: full_shard offload\n'],
])('parameters that are all trained stay, and the text says so: %s', (_, text) => {
  const found = converted(text);
  expect(found).not.toMatch(/^base_offload|^engine/m);
  expect(found).toMatch(/base_offload takes frozen weights, and this recipe trains all of them/);
  expect(found).toMatch(/^optimizer_offload: host/m);
});
