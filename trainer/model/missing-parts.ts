/** The unsupported parts of well-known models: decoders, text encoders, image models, and timm's models. */

export interface Missing {
  readonly needs: string;
  /** Class names without their ending; for timm's models, whole names. */
  readonly names?: RegExp;
  /** Config keys that request the part, if their value is neither 0 nor false. */
  readonly keys?: readonly string[];
  /** The most similar class with this ending, or timm model; by default Llama's, BERT's or ViT's. */
  readonly nearest?: string;
}

const decoders: readonly Missing[] = [
  {
    needs: 'an indexer that chooses the keys of each query',
    names: /^(DeepseekV32|GlmMoeDsa)/,
    keys: ['index_topk'],
    nearest: 'DeepseekV3',
  },
  {
    needs: 'multi-head latent attention of this kind',
    names: /^(DeepseekVL|KimiK2|MiniCPM3)/,
    keys: ['kv_lora_rank'],
    nearest: 'DeepseekV3',
  },
  {
    needs: 'state-space layers',
    names: /^(Falcon)?(Mamba|Jamba|Bamba|Zamba|PLaMo)/i,
    keys: ['mamba_d_state', 'ssm_cfg', 'state_size'],
    nearest: 'GraniteMoeHybrid',
  },
  {
    needs: 'linear attention with a recurrent state',
    names: /^(KimiLinear|MiniMax|RetNet)/,
    keys: ['linear_num_key_heads'],
    nearest: 'Qwen3_5',
  },
  { needs: 'recurrent layers', names: /^(Rwkv|RecurrentGemma|XLSTM)/i, nearest: 'Gemma2' },
  {
    needs: 'a mixture of experts of this kind',
    names: /(moe|Mixtral|Dbrx|Llama4|GptOss|Arctic|HunYuanMoE)/i,
    keys: ['num_experts', 'num_local_experts', 'n_routed_experts', 'moe_num_experts'],
    nearest: 'Qwen3Moe',
  },
  { needs: 'hashed n-grams and several residual streams', names: /^Qwen4Exp/, nearest: 'Qwen3_5Moe' },
  {
    needs: 'an encoder in addition to the decoder',
    names: /^(U?M?T5|Bart|MBart|Marian|Pegasus|Whisper|LED|M2M|Blenderbot|NLLB|SeamlessM4T)/i,
    keys: ['is_encoder_decoder'],
  },
  { needs: 'learned positions of this kind in a decoder', names: /^(GPTBigCode|OPT|GPTNeo$|OpenAIGPT|BioGpt|XGLM)/i },
  { needs: 'attention with linear biases', names: /^(Bloom|MPT|Baichuan)/i, keys: ['alibi'] },
  { needs: 'attention and MLP side by side in this form', names: /^(Falcon|GPTJ|Persimmon|CodeGen)/i },
  {
    needs: 'the form of files that Transformers reads, which is in the repositories whose names end in -hf or -HF',
    names: /^InternVLChat$/,
    nearest: 'InternVL',
  },
  {
    needs: 'images or sound in addition to text',
    names: /(VL(?!Chat$)|(?<!Data2Vec|Siglip|CLIP)Vision|Llava|Idefics|Paligemma|Audio|Omni|Multimodal|Mllama)/i,
  },
];

const textEncoders: readonly Missing[] = [
  { needs: "the first DeBERTa's fused attention layers", names: /^Deberta$/, nearest: 'DebertaV2' },
  { needs: 'windows of attention with global tokens', names: /^(Longformer|BigBird)/, nearest: 'ModernBert' },
  {
    needs: 'a norm before attention and before the MLP',
    names: /^(MegatronBert|RobertaPreLayerNorm|XLMRobertaXL)$/,
    nearest: 'ModernBert',
  },
  {
    needs: 'rotary positions in blocks with norms behind attention and the MLP',
    names: /^RoFormer/,
    nearest: 'NomicBert',
  },
  { needs: 'root-mean-square norms in an encoder', names: /^NeoBERT/, nearest: 'EuroBert' },
  { needs: 'Fourier transforms in place of attention', names: /^FNet/, nearest: 'Bert' },
  { needs: 'two streams of attention over permutations', names: /^XLNet/, nearest: 'Bert' },
  { needs: 'bottlenecks around each block', names: /^MobileBert/, nearest: 'DistilBert' },
  { needs: 'grouped convolutions in place of linear layers', names: /^SqueezeBert/, nearest: 'DistilBert' },
  { needs: 'convolutions over the tokens', names: /^ConvBert/, nearest: 'Electra' },
  { needs: 'blocks that pool the tokens', names: /^Funnel/, nearest: 'Bert' },
  { needs: 'an embedding of the task', names: /^Ernie$/, nearest: 'Bert' },
  { needs: 'approximations of attention', names: /^(Nystromformer|Yoso|Mra|Reformer)/, nearest: 'ModernBert' },
  { needs: 'places on a page in addition to tokens', names: /^(LayoutLM|Lilt|MarkupLM|Bros)/, nearest: 'Roberta' },
  { needs: 'entities in addition to tokens', names: /^M?Luke/, nearest: 'Roberta' },
  { needs: 'an input of characters', names: /^(Canine|Perceiver|CharacterBert)/, nearest: 'Bert' },
  { needs: 'embeddings or layers of each language', names: /^(Xmod|XLM|Flaubert)$/, nearest: 'XLMRoberta' },
];

const SECOND_SWIN = 'cosine attention with computed position biases, and norms behind attention and the MLP';
const INVERTED = 'inverted residuals with depthwise convolutions and squeeze-and-excitation';

const GROUPED = 'squeeze-and-excitation in grouped bottlenecks';

const imageModels: readonly Missing[] = [
  { needs: SECOND_SWIN, names: /^Swinv2$/i, nearest: 'Swin' },
  { needs: 'restoring an image', names: /^(Swin2SR|DPT|Glpn)/i, nearest: 'Swin' },
  { needs: 'position biases in the attention of a vision transformer', names: /^(Beit|Data2VecVision)/, nearest: 'ViT' },
  { needs: "CLIP's norm before the blocks", names: /^CLIP/, nearest: 'Siglip' },
  { needs: 'a head for images on a tower alone', names: /^SiglipVision/, nearest: 'Siglip' },
  { needs: 'patches of any number that a batch masks', names: /^Siglip2/, nearest: 'Siglip' },
  { needs: 'a head on an encoder that was trained on hidden patches', names: /^(ViTMAE|ViTMSN|IJepa)/, nearest: 'ViT' },
  { needs: 'stages that pool queries inside attention', names: /^(Hiera|MViT)/, nearest: 'Swin' },
  {
    needs: 'convolutions and attention in one model',
    names: /^(MobileViT|MobileVitV2|Cvt|Levit|EfficientFormer|SwiftFormer|ViTHybrid)/i,
    nearest: 'ViT',
  },
  { needs: 'attention to a shrunken image', names: /^(Pvt|Segformer)/i, nearest: 'Swin' },
  { needs: 'attention over neighborhoods', names: /^(Dinat|Nat)$/, nearest: 'Swin' },
  { needs: 'pooling in place of attention', names: /^PoolFormer/, nearest: 'ConvNext' },
  { needs: 'focal modulation in place of attention', names: /^FocalNet/, nearest: 'Swin' },
  { needs: 'attention by large convolutions', names: /^Van$/, nearest: 'ConvNext' },
  { needs: INVERTED, names: /^(MobileNet|EfficientNet)/i, nearest: 'ResNet' },
  { needs: GROUPED, names: /^RegNet/, nearest: 'ResNet' },
  { needs: 'group norms and standardized convolutions', names: /^Bit$/, nearest: 'ResNet' },
];

/** All unsupported parts of Transformers' classes. */
export const missingParts: readonly Missing[] = [...imageModels, ...textEncoders, ...decoders];

/** The unsupported parts of timm's models, by model name. */
export const missingOfTimm: readonly Missing[] = [
  { needs: SECOND_SWIN, names: /^swinv2/, nearest: 'swin_tiny_patch4_window7_224' },
  { needs: 'strides or windows other than those of the first Swin', names: /^swin/, nearest: 'swin_tiny_patch4_window7_224' },
  { needs: 'a stem, norm or head that ConvNeXt does not have', names: /^convnext(v2)?_/, nearest: 'convnext_tiny' },
  { needs: 'a gated MLP', names: /^vit_giant_.*dinov2$/, nearest: 'vit_large_patch14_dinov2' },
  { needs: 'rotary positions', names: /^(vit_.*dinov3|eva02)/, nearest: 'vit_base_patch14_reg4_dinov2' },
  { needs: 'position biases in the attention of a vision transformer', names: /^(beit|vit_relpos)/, nearest: 'vit_base_patch16_224' },
  { needs: 'scales and positions of the third DeiT', names: /^deit3/, nearest: 'deit_base_patch16_224' },
  {
    needs: 'a norm, pooling or size that the first vision transformers do not have',
    names: /^(vit|flexivit)_/,
    nearest: 'vit_base_patch16_224',
  },
  { needs: GROUPED, names: /^regnet/, nearest: 'resnet50' },
  { needs: 'norms before the convolutions', names: /^resnetv2/, nearest: 'resnet50' },
  {
    needs: 'a deep stem, or attention over channels or within convolutions',
    names: /^(resnet|resnext|seresne|ecaresne|skresne|resnest|legacy_se|resnetrs|bot|lambda|halo)/,
    nearest: 'resnet50',
  },
  { needs: INVERTED, names: /(efficientnet|mobilenet|mnasnet|fbnet|ghostnet|lcnet|tinynet|mixnet)/, nearest: 'resnet50' },
  {
    needs: 'convolutions and attention in one model',
    names: /^(maxvit|maxxvit|coatnet|mobilevit|levit|efficientformer|fastvit|edgenext)/,
    nearest: 'convnext_tiny',
  },
];
