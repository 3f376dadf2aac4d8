/** The text parts of models that also see images. */
import { readConfig, refuse } from '../config-keys.ts';
import type { ConfigJson } from '../load-model.ts';
import type { DecoderConfig } from './decoder.ts';
import { decoderConfig } from './decoder-families.ts';
import { gemma3ImageKeys } from './decoder-keys.ts';
import { gemmaTextNames } from './decoder-names.ts';

/** @throws ModelConfigError */
export function gemma3Text(config: ConfigJson): DecoderConfig {
  const architecture = 'Gemma3ForConditionalGeneration';
  const { values, problems } = readConfig(gemma3ImageKeys, architecture, config);
  refuse(problems, architecture);
  const text = decoderConfig(
    'Gemma3ForCausalLM',
    { ...values.text_config, tie_word_embeddings: values.tie_word_embeddings },
    gemmaTextNames,
  );
  return { ...text, remark: 'Only the text part of this model is loaded: it reads no images.' };
}
