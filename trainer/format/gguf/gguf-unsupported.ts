/** The message for a GGUF file of an unsupported architecture: the missing feature, and the most similar supported family. */
import { didYouMean } from '../../catalog/did-you-mean.ts';
import { clip, ModelFileError } from '../model-file-error.ts';
import { type FoundFamily, ggufFamilies, ggufFamily } from './families/gguf-families.ts';
import type { GgufValue } from './gguf-cursor.ts';

interface Missing {
  readonly needs: string;
  /** Pattern of llama.cpp's architecture names. */
  readonly names: RegExp;
  /** The most similar family; Llama by default. */
  readonly nearest?: string;
}

/** Missing parts of decoders, in the same words as for Transformers' classes. */
export const missingOfGguf: readonly Missing[] = [
  { needs: 'multi-head latent attention of this kind', names: /^(minicpm3|plm$|mistral4|deepseek32|glm-dsa)/, nearest: 'deepseek2' },
  { needs: 'state-space layers', names: /^(mamba|jamba|plamo2)/, nearest: 'granitehybrid' },
  { needs: 'linear attention with a recurrent state', names: /^kimi-linear/, nearest: 'qwen35' },
  { needs: 'recurrent layers', names: /^a?rwkv/, nearest: 'gemma2' },
  {
    needs: 'a mixture of experts of this kind',
    names: /(moe$|^(deepseek$|dbrx|arctic|llama4|grok|dots1|smallthinker|minimax|bailingmoe2))/,
    nearest: 'qwen3moe',
  },
  { needs: 'an encoder in addition to the decoder', names: /^t5/ },
  { needs: 'learned positions of this kind in a decoder', names: /^starcoder$/ },
  { needs: 'attention with linear biases', names: /^(bloom|mpt|baichuan|refact|jais)$/ },
  { needs: 'attention and MLP side by side in this form', names: /^(falcon|gptj)$/ },
  { needs: 'images or sound in addition to text', names: /^(chameleon|cogvlm)/ },
];

/** The encoder of images of a language model (`mmproj`). */
const IMAGE_ENCODER = 'clip';

/** Encoders, which can be trained from safetensors files. */
const ENCODERS = /bert/;

/** Decoders that are read from safetensors files only. */
const SAFETENSORS_ONLY = /^(afmoe|mellum)/;

/** @throws ModelFileError for an unsupported architecture */
export function supportedFamily(path: string, metadata: ReadonlyMap<string, GgufValue>): FoundFamily {
  const found = ggufFamily(metadata);
  if (found !== undefined) return found;
  const known = Object.keys(ggufFamilies);
  const listed = `GGUF is read for ${known.join(', ')}`;
  const named = metadata.get('general.architecture');
  if (typeof named !== 'string')
    throw new ModelFileError(path, 'names no architecture (general.architecture)', `${listed}; convert the model again.`);
  const what = `is of the architecture ${clip(named)}, which is not supported`;
  if (named === IMAGE_ENCODER)
    throw new ModelFileError(
      path,
      'is the encoder of images of a language model (mmproj), not a model',
      'Give the GGUF file of the language model, or the folder of the whole model to tune it on images.',
    );
  if (ENCODERS.test(named))
    throw new ModelFileError(path, `${what}: it is an encoder`, `${listed}; use the safetensors files of this model.`);
  if (SAFETENSORS_ONLY.test(named)) throw new ModelFileError(path, what, `${listed}; use the safetensors files of this model.`);
  const missing = missingOfGguf.filter(({ names }) => names.test(named));
  const needs = missing.map(each => each.needs).join(' and ');
  const byName = missing.length === 0 ? didYouMean(named, known) : undefined;
  const nearest = missing.find(each => each.nearest !== undefined)?.nearest ?? byName ?? 'llama';
  const problem = `${what}${needs && `: it needs ${needs}`}; the nearest supported architecture is ${nearest}`;
  throw new ModelFileError(path, problem, `${listed}; use a model of one of these.`);
}
