/**
 * The families of decoders, each a table of keys and the parts that they specify; reads config.json of older and newer Transformers
 * versions.
 */

import { isOneOf, namesOf } from '../../../catalog/entries.ts';
import { elementAt } from '../../../narrow.ts';
import type { ConfigJson } from '../../config-json.ts';
import { contradiction, type KeyTable, multipleProblems, readConfig, refuse } from '../../config-keys.ts';
import type { Positions } from '../../layer/positions/rope-scaling.ts';
import type { ConfigProblem } from '../../model-spec.ts';
import { paddingRow } from '../common-keys.ts';
import type { DecoderConfig } from './blocks/decoder-config.ts';
import { type DecoderNames, llamaNames } from './blocks/names.ts';
import { afmoe } from './families/afmoe.ts';
import { apertus } from './families/apertus.ts';
import { arcee } from './families/arcee.ts';
import { cohere, cohere2 } from './families/cohere2.ts';
import { cohere2Moe } from './families/cohere2-moe.ts';
import { cwm } from './families/cwm.ts';
import { deepseekV2, deepseekV3, glm4MoeLite } from './families/deepseek.ts';
import { ernie, ernieMoe, paddleOcr } from './families/ernie.ts';
import { exaone4 } from './families/exaone4.ts';
import { falconH1 } from './families/falcon-h1.ts';
import type { Family, Own } from './families/family.ts';
import { flint } from './families/flint.ts';
import { gemma1, gemma2, gemma3, vaultGemma } from './families/gemma.ts';
import { gemma3n } from './families/gemma3n.ts';
import { gemma4, gemma4Unified } from './families/gemma4.ts';
import { glm, glm4, glm4v, glmOcr } from './families/glm.ts';
import { glm4Moe } from './families/glm4-moe.ts';
import { gptNeoX } from './families/gpt-neox.ts';
import { gptOss } from './families/gpt-oss.ts';
import { gpt2 } from './families/gpt2.ts';
import { granite, graniteHybrid, graniteMoe, graniteMoeShared } from './families/granite.ts';
import { graniteMoeSwa, graniteSwa } from './families/granite-swa.ts';
import { helium } from './families/helium.ts';
import { hunYuan } from './families/hunyuan.ts';
import { hyperClova } from './families/hyperclova-x.ts';
import { jais2 } from './families/jais2.ts';
import { kolibri } from './families/kolibri.ts';
import { lfm2, lfm2Moe } from './families/lfm2.ts';
import { lfm3 } from './families/lfm3.ts';
import { internLm3, iquestCoder, llama } from './families/llama.ts';
import { mellum } from './families/mellum.ts';
import { ministral, ministral3, mistral } from './families/mistral.ts';
import { mistral4 } from './families/mistral4.ts';
import { mixtral } from './families/mixtral.ts';
import { modernBertDecoder } from './families/modernbert-decoder.ts';
import { nanoChat } from './families/nanochat.ts';
import { nemotron } from './families/nemotron.ts';
import { nemotronH } from './families/nemotron-h.ts';
import { olmo2, olmo3 } from './families/olmo.ts';
import { olmoHybrid } from './families/olmo-hybrid.ts';
import { olmoe } from './families/olmoe.ts';
import { phi } from './families/phi.ts';
import { phi3 } from './families/phi3.ts';
import { qwen2, qwen3, qwen3Vl, qwen25Vl } from './families/qwen.ts';
import { qwen2Moe, qwen3Moe, qwen3VlMoe } from './families/qwen3-moe.ts';
import { qwen35 } from './families/qwen35.ts';
import { qwen3Next, qwen35Moe } from './families/qwen35-moe.ts';
import { seedOss } from './families/seed-oss.ts';
import { smollm3 } from './families/smollm3.ts';
import { stableLm } from './families/stablelm.ts';
import { starcoder2 } from './families/starcoder2.ts';
import { youtu } from './families/youtu.ts';
import type { Sizes } from './keys/decoder-keys.ts';
import { expertProblems } from './keys/expert-keys.ts';
import { everywhere, type Windows } from './keys/layers.ts';
import { type RopeContext, readRope, readRopesByBase, readRopesByType } from './keys/rope-config.ts';

const families = {
  LlamaForCausalLM: llama,
  MistralForCausalLM: mistral,
  Qwen2ForCausalLM: qwen2,
  Qwen3ForCausalLM: qwen3,
  Qwen3_5ForCausalLM: qwen35,
  Qwen3_5MoeForCausalLM: qwen35Moe,
  Qwen3NextForCausalLM: qwen3Next,
  GemmaForCausalLM: gemma1,
  Gemma2ForCausalLM: gemma2,
  Gemma3ForCausalLM: gemma3,
  Gemma3nForCausalLM: gemma3n,
  Gemma4ForCausalLM: gemma4,
  Gemma4UnifiedForCausalLM: gemma4Unified,
  SmolLM3ForCausalLM: smollm3,
  Olmo2ForCausalLM: olmo2,
  Olmo3ForCausalLM: olmo3,
  OlmoHybridForCausalLM: olmoHybrid,
  OlmoeForCausalLM: olmoe,
  AfmoeForCausalLM: afmoe,
  Phi3ForCausalLM: phi3,
  MinistralForCausalLM: ministral,
  Ministral3ForCausalLM: ministral3,
  Mistral4ForCausalLM: mistral4,
  MixtralForCausalLM: mixtral,
  Qwen3MoeForCausalLM: qwen3Moe,
  MellumForCausalLM: mellum,
  GptOssForCausalLM: gptOss,
  GraniteForCausalLM: granite,
  GraniteSWAForCausalLM: graniteSwa,
  GraniteMoeHybridForCausalLM: graniteHybrid,
  Lfm2ForCausalLM: lfm2,
  Lfm2MoeForCausalLM: lfm2Moe,
  Lfm3ForCausalLM: lfm3,
  GlmForCausalLM: glm,
  Glm4ForCausalLM: glm4,
  Glm4MoeForCausalLM: glm4Moe,
  Glm4MoeLiteForCausalLM: glm4MoeLite,
  DeepseekV3ForCausalLM: deepseekV3,
  YoutuForCausalLM: youtu,
  Exaone4ForCausalLM: exaone4,
  SeedOssForCausalLM: seedOss,
  ApertusForCausalLM: apertus,
  ArceeForCausalLM: arcee,
  Ernie4_5ForCausalLM: ernie,
  Ernie4_5_MoeForCausalLM: ernieMoe,
  HunYuanDenseV1ForCausalLM: hunYuan,
  Cohere2ForCausalLM: cohere2,
  Cohere2MoeForCausalLM: cohere2Moe,
  NanoChatForCausalLM: nanoChat,
  ModernBertDecoderForCausalLM: modernBertDecoder,
  NemotronHForCausalLM: nemotronH,
  FalconH1ForCausalLM: falconH1,
  GPTNeoXForCausalLM: gptNeoX,
  GPT2LMHeadModel: gpt2,
  Starcoder2ForCausalLM: starcoder2,
  StableLmForCausalLM: stableLm,
  PhiForCausalLM: phi,
  GraniteMoeForCausalLM: graniteMoe,
  GraniteMoeSharedForCausalLM: graniteMoeShared,
  Qwen2MoeForCausalLM: qwen2Moe,
  VaultGemmaForCausalLM: vaultGemma,
  Jais2ForCausalLM: jais2,
  HeliumForCausalLM: helium,
  InternLM3ForCausalLM: internLm3,
  IQuestCoderForCausalLM: iquestCoder,
  CohereForCausalLM: cohere,
  CwmForCausalLM: cwm,
  FlintForCausalLM: flint,
  Kolibri1ForCausalLM: kolibri,
  GraniteMoeSWAForCausalLM: graniteMoeSwa,
  DeepseekV2ForCausalLM: deepseekV2,
  HyperCLOVAXForCausalLM: hyperClova,
  NemotronForCausalLM: nemotron,
} as const;

export type DecoderArchitecture = keyof typeof families;

/** Families that exist as parts of models with images alone. */
const innerFamilies = {
  Qwen2VLTextModel: qwen25Vl,
  Qwen2_5_VLTextModel: qwen25Vl,
  Qwen3VLTextModel: qwen3Vl,
  Qwen3VLMoeTextModel: qwen3VlMoe,
  Glm4vTextModel: glm4v,
  GlmOcrTextModel: glmOcr,
  PaddleOCRTextModel: paddleOcr,
} as const;

const everyFamily = { ...families, ...innerFamilies };

/** A decoder, or one inside a model that also takes images. */
export type InnerArchitecture = DecoderArchitecture | keyof typeof innerFamilies;

export const decoderArchitectures: readonly DecoderArchitecture[] = namesOf(families);

export const isDecoder = (architecture: string | undefined): architecture is DecoderArchitecture =>
  isOneOf(decoderArchitectures, architecture);

/**
 * Reads the config of a decoder.
 * @param names if the file uses other names than the family's
 * @throws ModelConfigError with every key that is missing, out of bounds or unsupported
 */
export const decoderConfig = (architecture: InnerArchitecture, file: ConfigJson, names?: DecoderNames): DecoderConfig =>
  configOfFamily(everyFamily[architecture], architecture, file, names);

/** Reads the config of a family, which need not be in the table. @throws ModelConfigError, see {@link decoderConfig} */
export function configOfFamily(
  family: Pick<Family<KeyTable>, 'family'>,
  architecture: string,
  file: ConfigJson,
  names?: DecoderNames,
): DecoderConfig {
  // `own` receives the values of the family's `keys`; the keys read here are those that all families share.
  const described = family as unknown as Family<(typeof llama)['keys']>;
  const json = described.defaults ? { ...described.defaults(file), ...file } : file;
  const { values: c, problems } = readConfig(described.keys, architecture, json);
  const own = described.own(c);
  const kvHeads = c.num_key_value_heads ?? c.num_attention_heads;
  const headDim = c.head_dim ?? c.hidden_size / c.num_attention_heads;
  const heads = own.heads ?? everywhere(c, { kvHeads, headDim });
  const context = { architecture, maxPositions: c.max_position_embeddings, headDim, ...described.rope };
  const read = withEffect(json, described.keys);
  const rope = ropesOf(c, read, context, own);
  refuse(
    [...problems, ...headProblems(c, kvHeads, headDim), ...layerProblems(c, json, own), ...ownProblems(own, json), ...rope.problems],
    architecture,
  );
  const padId = paddingRow(c.pad_token_id, c.vocab_size);
  const { biases, windows, innerNorms, cap, scale = headDim ** -0.5 } = own;
  return {
    family: described.family,
    names: names ?? own.names ?? described.names ?? llamaNames,
    vocabularySize: c.vocab_size,
    hiddenSize: c.hidden_size,
    blocks: c.num_hidden_layers,
    maxPositions: longest(c.max_position_embeddings, rope.positions),
    attention: {
      heads: c.num_attention_heads,
      layers: windows.map((window, layer) => ({ ...elementAt(heads, layer), window: window === 'unsized' ? undefined : window })),
      dropout: own.attentionDropout ?? c.attention_dropout ?? 0,
      biases,
      innerNorms,
      cap,
      scale,
      sinks: own.sinks ?? false,
      gated: own.gated,
      normsValues: own.normsValues ?? false,
      joinsByHead: own.joinsByHead ?? false,
      dividesByLayer: own.dividesByLayer ?? false,
      rotatesNeighbors: own.rotatesNeighbors ?? false,
      rotatesBackwards: own.rotatesBackwards ?? false,
      isBidirectional: own.isBidirectional ?? false,
      inputMultiplier: own.inputMultiplier ?? 1,
      outputMultiplier: own.outputMultiplier ?? 1,
    },
    mlp: {
      intermediateSizes: own.intermediateSizes ?? everywhere(c, c.intermediate_size),
      activation: own.activation ?? c.hidden_act,
      biased: own.mlpBias ?? false,
      multipliers: own.mlpMultipliers,
      cutoffs: own.mlpCutoffs,
      dropout: own.mlpInnerDropout ?? 0,
    },
    parts: own.parts,
    delta: own.delta,
    convolution: own.convolution,
    mamba: own.mamba,
    latent: own.latent,
    experts: own.experts,
    layerInputs: own.layerInputs,
    altUp: own.altUp,
    laurelRank: own.laurelRank,
    scalesBlocks: own.scalesBlocks ?? false,
    positions: rope.positions.map((layerRope, layer) => (own.usesRope?.[layer] === false ? undefined : layerRope)),
    norms: own.norms ?? { epsilon: c.rms_norm_eps, offset: 0 },
    sideBySide: own.sideBySide ?? false,
    embeddingMultiplier: { factor: 1, rounded: false },
    residualMultiplier: 1,
    embeddingDropout: own.embeddingDropout ?? 0,
    residualDropout: own.residualDropout ?? 0,
    mlpDropout: own.mlpDropout ?? own.residualDropout ?? 0,
    logitMultiplier: 1,
    ...own.multipliers,
    logitCap: own.logitCap,
    tied: own.tied ?? c.tie_word_embeddings,
    headBias: own.headBias ?? false,
    headLayers: own.headLayers,
    padId,
    paddingRow: own.trainsPadding ? undefined : padId,
  };
}

/** Returns the config without keys that are listed as having no effect. */
const withEffect = (json: ConfigJson, keys: KeyTable): ConfigJson =>
  Object.fromEntries(Object.entries(json).filter(([key]) => keys[key]?.class !== 'without-effect'));

const ownProblems = ({ experts, problems = [] }: Own, json: ConfigJson): ConfigProblem[] => [
  ...problems,
  ...(experts ? expertProblems(experts, json) : []),
];

/** Returns the rotary positions of each block, which depend on its type, on its own base, or are the same for all. */
function ropesOf(c: Sizes, json: ConfigJson, context: RopeContext, { ropesByType, thetas }: Own) {
  if (ropesByType) return readRopesByType(json, context, ropesByType);
  if (thetas) return readRopesByBase(json, context, thetas);
  const { problems, ...positions } = readRope(json, context);
  return { problems, positions: everywhere(c, positions) };
}

/** The maximum text length: dynamic scaling exists for texts beyond a model's own length. */
const longest = (maxPositions: number, positions: readonly Positions[]): number =>
  Math.floor(maxPositions * Math.min(...positions.map(({ scaling }) => (scaling.type === 'dynamic' ? Math.max(1, scaling.factor) : 1))));

function headProblems(c: Sizes, kvHeads: number, headDim: number): ConfigProblem[] {
  const wrong: ConfigProblem[] = [];
  if (!Number.isInteger(headDim) || headDim % 2)
    wrong.push(
      c.head_dim
        ? contradiction('head_dim', `head_dim ${headDim} is odd: rotary positions rotate pairs of features`)
        : contradiction(
            'hidden_size',
            `hidden_size ${c.hidden_size} over num_attention_heads ${c.num_attention_heads} gives no even head size`,
          ),
    );
  const heads = ['num_attention_heads', c.num_attention_heads] as const;
  return [...wrong, ...multipleProblems('num_attention_heads', heads, ['num_key_value_heads', kvHeads])];
}

function layerProblems(c: Sizes, json: ConfigJson, { windows }: Own): ConfigProblem[] {
  const wrong = ['layer_types', 'layers_block_type', 'no_rope_layers', 'mlp_layer_types', 'layer_rope_theta'].flatMap(key => {
    const list = json[key];
    return Array.isArray(list) && list.length !== c.num_hidden_layers
      ? [contradiction(key, `${key} has ${list.length} entries for num_hidden_layers ${c.num_hidden_layers}`)]
      : [];
  });
  return [...wrong, ...windowProblems(json, windows)];
}

/** Returns a problem if blocks have a window without a size. */
function windowProblems(json: ConfigJson, windows: Windows): ConfigProblem[] {
  const unsized = windows.filter(window => window === 'unsized').length;
  if (unsized === 0) return [];
  const layers = Array.isArray(json.layer_types)
    ? 'layer_types has "sliding_attention"'
    : `${unsized} of the ${windows.length} layers of this family have a window`;
  return [contradiction('sliding_window', `sliding_window is null, and ${layers}: say how many tokens such a layer sees`)];
}

/** Returns the keys of a decoder of these families. */
export const decoderKeysOf = (architecture: InnerArchitecture): KeyTable => everyFamily[architecture].keys;
