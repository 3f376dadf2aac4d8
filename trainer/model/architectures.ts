/** The table of architectures, by the names that config.json gives them. */
import { llama } from './family/llama.ts';
import { llamaConfig } from './family/llama-config.ts';
import type { ConfigJson, ModelOptions } from './load-model.ts';
import type { AnyModel } from './model-spec.ts';

export type BuildModel = (config: ConfigJson, options: ModelOptions) => AnyModel;

export const architectures = {
  LlamaForCausalLM: config => llama(llamaConfig('LlamaForCausalLM', config)),
  MistralForCausalLM: config => llama(llamaConfig('MistralForCausalLM', config)),
  Qwen2ForCausalLM: config => llama(llamaConfig('Qwen2ForCausalLM', config)),
} satisfies Record<string, BuildModel>;
