/** The answer to a class of models that is not supported: what it needs that is missing here, and the supported class that is most like it. */

import { didYouMean } from '../protocol/did-you-mean.ts';
import type { ConfigJson } from './config-json.ts';

interface Missing {
  readonly needs: string;
  /** Names of classes, without their ending. */
  readonly names?: RegExp;
  /** Keys of a config that ask for it, with a value that is neither 0 nor false. */
  readonly keys?: readonly string[];
  /** The class with this ending that comes nearest; Llama's, BERT's or ViT's where not given. */
  readonly nearest?: string;
}

const missing: readonly Missing[] = [
  { needs: 'multi-head latent attention', names: /^(Deepseek(V[23]|VL)|KimiK2|MiniCPM3|Mistral4|Glm4MoeLite)/, keys: ['kv_lora_rank'] },
  {
    needs: 'state-space layers',
    names: /^(Falcon)?(Mamba|Jamba|Bamba|Zamba|NemotronH|FalconH|PLaMo|GraniteMoeHybrid)/i,
    keys: ['mamba_d_state', 'ssm_cfg', 'state_size'],
  },
  {
    needs: 'linear attention with a recurrent state',
    names: /^(Qwen3Next|Qwen3_5|KimiLinear|MiniMax|RetNet|OlmoHybrid)/,
    keys: ['linear_num_key_heads'],
  },
  { needs: 'recurrent layers', names: /^(Rwkv|RecurrentGemma|XLSTM|Lfm)/i, nearest: 'Gemma2' },
  {
    needs: 'a mixture of experts of this kind',
    names: /(moe|Mixtral|Dbrx|Llama4|GptOss|Arctic|Ernie4_5_Moe|HunYuanMoE)/i,
    keys: ['num_experts', 'num_local_experts', 'n_routed_experts', 'moe_num_experts'],
    nearest: 'Qwen3Moe',
  },
  { needs: 'inputs for each layer', names: /^(Gemma3n|Gemma4)/, nearest: 'Gemma3' },
  {
    needs: 'an encoder in addition to the decoder',
    names: /^(U?M?T5|Bart|MBart|Marian|Pegasus|Whisper|LED|M2M|Blenderbot|NLLB|SeamlessM4T)/i,
    keys: ['is_encoder_decoder'],
  },
  { needs: 'learned positions in a decoder', names: /^(GPT2|GPTBigCode|OPT|GPTNeo$|OpenAIGPT|BioGpt|XGLM)/i },
  { needs: 'attention with linear biases', names: /^(Bloom|MPT|Baichuan)/i, keys: ['alibi'] },
  { needs: 'attention and MLP side by side', names: /^(Cohere|Falcon|GPTNeoX|GPTJ|Phi$|StableLm|Persimmon|CodeGen)/i },
  { needs: 'images or sound in addition to text', names: /(VL|Vision|Llava|Idefics|Paligemma|Audio|Omni|Multimodal|Clip|Mllama)/i },
];

const ENDING = /(For[A-Z]\w*|Model)$/;
const nearestByEnding: readonly (readonly [RegExp, string])[] = [
  [/ImageClassification$/, 'ViTForImageClassification'],
  [/SequenceClassification$|MaskedLM$|TokenClassification$|Model$/, 'BertForSequenceClassification'],
  [/(CausalLM|ConditionalGeneration|LMHeadModel)$/, 'LlamaForCausalLM'],
];

/** The page that lists the families with what works for each. */
const LISTED = 'docs/reference/models.md';

/** @param named the classes that config.json names @param supported all that are computed */
export function unsupportedArchitecture(named: readonly string[], config: ConfigJson, supported: readonly string[]): string {
  const [first] = named;
  if (first === undefined) return `config.json names no architecture: add "architectures" with one of the classes in ${LISTED}`;
  const family = first.replace(ENDING, '');
  const asks = (key: string): boolean => ![undefined, null, 0, false].includes(config[key] as never);
  const found = missing.filter(({ names, keys = [] }) => names?.test(family) || keys.some(asks));
  const needs = [...new Set(found.map(each => each.needs))];
  const near = nearestClass(first, found, supported);
  return [
    `config.json names the architecture ${named.join(', ')}, which is not supported`,
    ...(needs.length > 0 ? [`: it needs ${needs.join(' and ')}`] : []),
    ...(near === undefined ? [] : [`; the nearest supported class is ${near}`]),
    ` (${LISTED} lists all)`,
  ].join('');
}

function nearestClass(name: string, found: readonly Missing[], supported: readonly string[]): string | undefined {
  const ending = ENDING.exec(name)?.[0] ?? '';
  const listed = found.flatMap(({ nearest }) => (nearest === undefined ? [] : [`${nearest}${ending}`]));
  const byEnding = nearestByEnding.find(([pattern]) => pattern.test(name))?.[1];
  return [...listed, supportedByName(name, supported), byEnding].find(each => each !== undefined && supported.includes(each));
}

/** The supported class that a name was meant to be: family and ending ("ForCausalLM") are compared apart, as most endings are alike. */
export function supportedByName(name: string, supported: readonly string[]): string | undefined {
  const split = (of: string): [string, string] => {
    const ending = ENDING.exec(of)?.[0] ?? '';
    return [of.slice(0, of.length - ending.length), ending];
  };
  const [family, ending] = split(name);
  const known = supported.map(split);
  const [nearFamily, nearEnding] = [0, 1].map(part =>
    didYouMean([family, ending][part] ?? '', [...new Set(known.map(each => each[part] ?? ''))]),
  );
  return supported.find(candidate => candidate === `${nearFamily}${nearEnding}`);
}
