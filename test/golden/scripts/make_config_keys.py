"""Lists every key of config.json that Transformers knows for the families we support, its default, and what changing it changes.
A key is known if the config class has it, if an older version wrote it, or if the code of the model reads it while it is built and
run (many are read with getattr and belong to no class). Deterministic (fixed seeds, 1 thread).
run: OMP_NUM_THREADS=1 python make_config_keys.py [folder [family…]]: with families, only these are updated"""
import copy, json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from open_model import DINOv3ViTForImageClassification
from transformers import (Cohere2Config, Cohere2ForCausalLM, Exaone4Config, Exaone4ForCausalLM, Glm4Config, Glm4ForCausalLM, GlmConfig, GlmForCausalLM,
                          HunYuanDenseV1Config, HunYuanDenseV1ForCausalLM, SeedOssConfig, SeedOssForCausalLM)
from transformers import ApertusConfig, ApertusForCausalLM, ArceeConfig, ArceeForCausalLM, Ernie4_5Config, Ernie4_5ForCausalLM, Ernie4_5_MoeConfig, Ernie4_5_MoeForCausalLM, Mistral4Config, Mistral4ForCausalLM
from transformers import CamembertConfig, CamembertForSequenceClassification
from transformers import EsmConfig, EsmForSequenceClassification
from transformers import CohereConfig, CohereForCausalLM, CwmConfig, CwmForCausalLM, FlintConfig, FlintForCausalLM, Kolibri1Config, Kolibri1ForCausalLM
from transformers import Cohere2MoeConfig, Cohere2MoeForCausalLM, GraniteMoeConfig, GraniteMoeForCausalLM, GraniteMoeSharedConfig, GraniteMoeSharedForCausalLM, Qwen2MoeConfig, Qwen2MoeForCausalLM
from transformers import HeliumConfig, HeliumForCausalLM, InternLM3Config, IQuestCoderConfig, Jais2Config, Jais2ForCausalLM, VaultGemmaConfig, VaultGemmaForCausalLM
from transformers import ModernBertDecoderConfig, ModernBertDecoderForCausalLM
from transformers import NanoChatConfig, NanoChatForCausalLM
from transformers import PhiConfig, PhiForCausalLM
from transformers import NemotronHConfig, NemotronHForCausalLM, OlmoeConfig, OlmoeForCausalLM
from transformers import DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM, Glm4MoeConfig, Glm4MoeForCausalLM, Glm4MoeLiteConfig, Glm4MoeLiteForCausalLM, GraniteMoeHybridConfig, GraniteMoeHybridForCausalLM, Lfm2Config, Lfm2ForCausalLM, Lfm2MoeConfig, Lfm2MoeForCausalLM
from transformers import FalconH1Config, FalconH1ForCausalLM
from transformers import GemmaConfig, GemmaForCausalLM
from transformers import Gemma3nForCausalLM, Gemma3nTextConfig
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, StableLmConfig, StableLmForCausalLM, Starcoder2Config, Starcoder2ForCausalLM
from transformers import AfmoeConfig, AfmoeForCausalLM, MellumConfig, MellumForCausalLM, OlmoHybridConfig, OlmoHybridForCausalLM, YoutuConfig, YoutuForCausalLM
from transformers import GraniteMoeSWAConfig, GraniteMoeSWAForCausalLM, HyperCLOVAXConfig, HyperCLOVAXForCausalLM, NemotronConfig, NemotronForCausalLM
from transformers import GraniteSWAConfig, GraniteSWAForCausalLM, Lfm3Config, Lfm3ForCausalLM
from transformers import Qwen3_5ForCausalLM, Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig, Qwen3_5TextConfig, Qwen3NextConfig, Qwen3NextForCausalLM
from transformers import (AlbertConfig, AlbertForSequenceClassification, BertConfig, BertForSequenceClassification, ConvNextConfig, ConvNextForImageClassification, ConvNextV2Config,
                          ConvNextV2ForImageClassification, DebertaV2Config, DebertaV2ForSequenceClassification, DeiTConfig,
                          DeiTForImageClassification, Dinov2Config, Dinov2ForImageClassification, Dinov2WithRegistersConfig,
                          Dinov2WithRegistersForImageClassification, DINOv3ViTConfig, DistilBertConfig, DistilBertForSequenceClassification, ElectraConfig,
                          ElectraForSequenceClassification, Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, Gemma4ForCausalLM, Gemma4TextConfig,
                          Gemma4UnifiedForCausalLM, Gemma4UnifiedTextConfig, GenerationConfig,
                          GraniteConfig, GraniteForCausalLM, Olmo2Config, Olmo2ForCausalLM, Olmo3Config, Olmo3ForCausalLM, SmolLM3Config,
                          SmolLM3ForCausalLM, LlamaConfig, LlamaForCausalLM, GptOssConfig, GptOssForCausalLM, MixtralConfig, MixtralForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM, MistralConfig, MistralForCausalLM,
                          ModernBertConfig, ModernBertForSequenceClassification,
                          PreTrainedConfig, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, ResNetConfig, ResNetForImageClassification, RobertaConfig,
                          RobertaForSequenceClassification, SiglipConfig, SiglipForImageClassification, SwinConfig, SwinForImageClassification, ViTConfig, ViTForImageClassification, XLMRobertaConfig, Phi3Config,
                          Phi3ForCausalLM, MinistralConfig, MinistralForCausalLM, Ministral3Config, Ministral3ForCausalLM,
                          XLMRobertaForSequenceClassification)
from transformers import UltrabertConfig, UltrabertForSequenceClassification
from transformers import EuroBertConfig, EuroBertForSequenceClassification, GteConfig, GteForSequenceClassification
from transformers import MPNetConfig, MPNetForSequenceClassification, NomicBertConfig, NomicBertForSequenceClassification

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')

text = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, initializer_range=0.2)
decoder = dict(**text, num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)
gemma4 = dict(**{**decoder, 'num_hidden_layers': 4}, head_dim=8, global_head_dim=16, sliding_window=5,
              layer_types=['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'])
encoder = dict(**text, max_position_embeddings=40, type_vocab_size=2)
image = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=16, patch_size=8, initializer_range=0.2)
dino = {key: value for key, value in image.items() if key != 'intermediate_size'}
convnext = dict(num_stages=2, hidden_sizes=[16, 32], depths=[1, 2], image_size=16, patch_size=4, initializer_range=0.2)
latent = dict(**{**decoder, 'num_key_value_heads': 4}, q_lora_rank=20, kv_lora_rank=12, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=6,
              moe_intermediate_size=16, n_routed_experts=8, num_experts_per_tok=2, n_group=4, topk_group=2)
recurrent = dict(head_dim=16, layer_types=['linear_attention', 'full_attention'], linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=6)
experts = dict(moe_intermediate_size=16, shared_expert_intermediate_size=20, num_experts=4, num_experts_per_tok=2)
tower = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24)
# Transformers computes these by Llama's class; the names are those of published files.
class InternLM3ForCausalLM(LlamaForCausalLM):
    pass


class IQuestCoderForCausalLM(LlamaForCausalLM):
    pass


FAMILIES = dict(
    llama=(LlamaForCausalLM, LlamaConfig, decoder),
    mistral=(MistralForCausalLM, MistralConfig, decoder),
    qwen2=(Qwen2ForCausalLM, Qwen2Config, dict(**decoder, use_sliding_window=True, sliding_window=5, max_window_layers=1)),
    qwen3=(Qwen3ForCausalLM, Qwen3Config, dict(**decoder, head_dim=8, use_sliding_window=True, sliding_window=5, max_window_layers=1)),
    qwen3_5=(Qwen3_5ForCausalLM, Qwen3_5TextConfig, dict(**decoder, **recurrent)),
    qwen3_5_moe=(Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig, dict(**decoder, **recurrent, **experts)),
    qwen3_next=(Qwen3NextForCausalLM, Qwen3NextConfig, dict(**decoder, **recurrent, **experts)),
    olmo_hybrid=(OlmoHybridForCausalLM, OlmoHybridConfig, dict(**decoder, **{k: v for k, v in recurrent.items() if k != 'head_dim'})),
    gemma=(GemmaForCausalLM, GemmaConfig, dict(**decoder, head_dim=8)),
    gemma2=(Gemma2ForCausalLM, Gemma2Config, dict(**decoder, head_dim=8, sliding_window=5)),
    gemma3=(Gemma3ForCausalLM, Gemma3TextConfig, dict(**decoder, head_dim=8, sliding_window=5, layer_types=['sliding_attention', 'full_attention'])),
    gemma3n=(Gemma3nForCausalLM, Gemma3nTextConfig, dict(**{**decoder, 'num_hidden_layers': 4}, head_dim=8, sliding_window=5, num_kv_shared_layers=1, laurel_rank=6,
             layer_types=['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'], vocab_size_per_layer_input=60, hidden_size_per_layer_input=6,
             activation_sparsity_pattern=[0.7, 0.0, 0.0, 0.0])),
    gemma4=(Gemma4ForCausalLM, Gemma4TextConfig, dict(**gemma4, num_kv_shared_layers=1, vocab_size_per_layer_input=64, hidden_size_per_layer_input=6,
                                                      enable_moe_block=True, num_experts=4, top_k_experts=2, moe_intermediate_size=12)),
    gemma4_unified=(Gemma4UnifiedForCausalLM, Gemma4UnifiedTextConfig, dict(**gemma4, attention_k_eq_v=True)),
    smollm3=(SmolLM3ForCausalLM, SmolLM3Config, dict(**decoder, use_sliding_window=True, sliding_window=5, no_rope_layers=[1, 0])),
    olmo2=(Olmo2ForCausalLM, Olmo2Config, decoder),
    olmo3=(Olmo3ForCausalLM, Olmo3Config, dict(**decoder, sliding_window=5)),
    granite=(GraniteForCausalLM, GraniteConfig, decoder),
    granite_swa=(GraniteSWAForCausalLM, GraniteSWAConfig, dict(**decoder, sliding_window=5, layer_rope_theta=[0, 10000.0])),
    granitemoe_swa=(GraniteMoeSWAForCausalLM, GraniteMoeSWAConfig, dict(**decoder, num_local_experts=4, shared_intermediate_size=20, sliding_window=5, layer_rope_theta=[0, 10000.0])),
    hyperclovax=(HyperCLOVAXForCausalLM, HyperCLOVAXConfig, decoder),
    nemotron=(NemotronForCausalLM, NemotronConfig, decoder),
    granitemoehybrid=(GraniteMoeHybridForCausalLM, GraniteMoeHybridConfig, dict(**decoder, num_local_experts=4, layer_types=['mamba', 'attention'],
                                                                              mamba_n_heads=4)),
    lfm2=(Lfm2ForCausalLM, Lfm2Config, dict(**decoder, layer_types=['conv', 'full_attention'], block_multiple_of=20)),
    lfm2_moe=(Lfm2MoeForCausalLM, Lfm2MoeConfig, dict(**decoder, layer_types=['conv', 'full_attention'], moe_intermediate_size=16, num_dense_layers=1, num_experts=4,
                                                      num_experts_per_tok=2)),
    lfm3=(Lfm3ForCausalLM, Lfm3Config, dict(**decoder, head_dim=8, layer_types=['sliding_attention', 'full_attention'], sliding_window=5)),
    glm4_moe=(Glm4MoeForCausalLM, Glm4MoeConfig, dict(**decoder, head_dim=8, moe_intermediate_size=16, n_routed_experts=8, num_experts_per_tok=2, n_group=4, topk_group=2)),
    deepseek_v2=(DeepseekV2ForCausalLM, DeepseekV2Config, dict(**latent, first_k_dense_replace=1)),
    deepseek_v3=(DeepseekV3ForCausalLM, DeepseekV3Config, dict(**latent, first_k_dense_replace=1)),
    youtu=(YoutuForCausalLM, YoutuConfig, {k: v for k, v in latent.items() if k not in ('moe_intermediate_size', 'n_routed_experts', 'num_experts_per_tok', 'n_group', 'topk_group')}),
    glm4_moe_lite=(Glm4MoeLiteForCausalLM, Glm4MoeLiteConfig, latent),
    mistral4=(Mistral4ForCausalLM, Mistral4Config, latent),
    glm=(GlmForCausalLM, GlmConfig, dict(**decoder, head_dim=8)),
    glm4=(Glm4ForCausalLM, Glm4Config, dict(**decoder, head_dim=8)),
    exaone4=(Exaone4ForCausalLM, Exaone4Config, dict(**decoder, sliding_window=5, layer_types=['sliding_attention', 'full_attention'])),
    seed_oss=(SeedOssForCausalLM, SeedOssConfig, dict(**decoder, head_dim=8)),
    apertus=(ApertusForCausalLM, ApertusConfig, decoder),
    gpt_neox=(GPTNeoXForCausalLM, GPTNeoXConfig, {key: value for key, value in decoder.items() if key != 'num_key_value_heads'}),
    gpt2=(GPT2LMHeadModel, GPT2Config, dict(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=40, initializer_range=0.2)),
    starcoder2=(Starcoder2ForCausalLM, Starcoder2Config, decoder),
    stablelm=(StableLmForCausalLM, StableLmConfig, {**decoder, 'num_attention_heads': 2}),
    phi=(PhiForCausalLM, PhiConfig, decoder),
    vaultgemma=(VaultGemmaForCausalLM, VaultGemmaConfig, dict(**decoder, head_dim=8, sliding_window=5)),
    jais2=(Jais2ForCausalLM, Jais2Config, decoder),
    helium=(HeliumForCausalLM, HeliumConfig, dict(**decoder, head_dim=8)),
    internlm3=(InternLM3ForCausalLM, InternLM3Config, dict(**decoder, head_dim=8)),
    iquestcoder=(IQuestCoderForCausalLM, IQuestCoderConfig, dict(**decoder, head_dim=8)),
    granitemoe=(GraniteMoeForCausalLM, GraniteMoeConfig, dict(**decoder, num_local_experts=4)),
    granitemoeshared=(GraniteMoeSharedForCausalLM, GraniteMoeSharedConfig, dict(**decoder, num_local_experts=4, shared_intermediate_size=20)),
    qwen2_moe=(Qwen2MoeForCausalLM, Qwen2MoeConfig, dict(**decoder, **experts, use_sliding_window=True, sliding_window=5)),
    cohere2_moe=(Cohere2MoeForCausalLM, Cohere2MoeConfig, dict(**decoder, head_dim=8, num_experts=4, num_shared_experts=1, sliding_window=5,
                 layer_types=['sliding_attention', 'full_attention'], mlp_layer_types=['dense', 'sparse'])),
    cohere=(CohereForCausalLM, CohereConfig, decoder),
    cwm=(CwmForCausalLM, CwmConfig, dict(**decoder, head_dim=8, sliding_window=5, layer_types=['sliding_attention', 'full_attention'])),
    flint=(FlintForCausalLM, FlintConfig, dict(**decoder, head_dim=8, moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2, mlp_only_layers=[0],
           shared_expert_intermediate_size=20, sliding_window=5, layer_types=['sliding_attention', 'full_attention'])),
    kolibri1=(Kolibri1ForCausalLM, Kolibri1Config, {**{k: v for k, v in decoder.items() if k != 'intermediate_size'}, 'head_dim': 8, 'moe_intermediate_size': 16, 'num_experts': 4,
              'num_experts_per_tok': 2, 'shared_expert_intermediate_size': 20, 'sliding_window': 5, 'layer_types': ['sliding_attention', 'full_attention']}),
    arcee=(ArceeForCausalLM, ArceeConfig, decoder),
    ernie4_5=(Ernie4_5ForCausalLM, Ernie4_5Config, dict(**decoder, head_dim=8)),
    ernie4_5_moe=(Ernie4_5_MoeForCausalLM, Ernie4_5_MoeConfig, dict(**decoder, moe_intermediate_size=16, moe_num_experts=4, moe_k=2)),
    hunyuan_v1_dense=(HunYuanDenseV1ForCausalLM, HunYuanDenseV1Config, dict(**decoder, head_dim=8)),
    cohere2=(Cohere2ForCausalLM, Cohere2Config, dict(**decoder, sliding_window=5, layer_types=['sliding_attention', 'full_attention'])),
    gpt_oss=(GptOssForCausalLM, GptOssConfig, dict(**decoder, head_dim=8, num_local_experts=4, num_experts_per_tok=2, sliding_window=5)),
    mixtral=(MixtralForCausalLM, MixtralConfig, dict(**decoder, num_local_experts=4)),
    qwen3_moe=(Qwen3MoeForCausalLM, Qwen3MoeConfig, dict(**decoder, head_dim=8, moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2,
                                                         use_sliding_window=True, sliding_window=5)),
    afmoe=(AfmoeForCausalLM, AfmoeConfig, dict(**decoder, head_dim=8, moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2, num_shared_experts=1, sliding_window=5,
           layer_types=['sliding_attention', 'full_attention'])),
    mellum=(MellumForCausalLM, MellumConfig, dict(**decoder, head_dim=8, moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2, sliding_window=5,
            layer_types=['sliding_attention', 'full_attention'])),
    olmoe=(OlmoeForCausalLM, OlmoeConfig, dict(**decoder, num_experts=4, num_experts_per_tok=2)),
    nemotron_h=(NemotronHForCausalLM, NemotronHConfig, dict(**{**decoder, 'num_hidden_layers': 4}, head_dim=8, layers_block_type=['linear_attention', 'moe', 'full_attention', 'mlp'],
                mamba_num_heads=4, mamba_head_dim=8, n_groups=2, ssm_state_size=6, chunk_size=8, n_routed_experts=8, num_experts_per_tok=2, n_group=4, topk_group=2,
                moe_intermediate_size=16, moe_shared_expert_intermediate_size=20)),
    falcon_h1=(FalconH1ForCausalLM, FalconH1Config, dict(**decoder, mamba_d_ssm=48, mamba_n_heads=4, mamba_d_state=6, mamba_chunk_size=8, mamba_n_groups=2, mamba_rms_norm=True)),
    nanochat=(NanoChatForCausalLM, NanoChatConfig, decoder),
    modernbert_decoder=(ModernBertDecoderForCausalLM, ModernBertDecoderConfig, dict(**text, max_position_embeddings=40, local_attention=6, pad_token_id=0)),
    phi3=(Phi3ForCausalLM, Phi3Config, decoder),
    ministral=(MinistralForCausalLM, MinistralConfig, dict(**decoder, head_dim=8, sliding_window=5, layer_types=['sliding_attention', 'full_attention'])),
    ministral3=(Ministral3ForCausalLM, Ministral3Config, dict(**decoder, head_dim=8)),
    bert=(BertForSequenceClassification, BertConfig, encoder),
    roberta=(RobertaForSequenceClassification, RobertaConfig, encoder),
    xlm_roberta=(XLMRobertaForSequenceClassification, XLMRobertaConfig, encoder),
    camembert=(CamembertForSequenceClassification, CamembertConfig, encoder),
    deberta_v2=(DebertaV2ForSequenceClassification, DebertaV2Config, dict(**encoder, relative_attention=True, pos_att_type=['c2p', 'p2c'])),
    distilbert=(DistilBertForSequenceClassification, DistilBertConfig, dict(vocab_size=64, dim=32, hidden_dim=48, n_layers=2, n_heads=4, max_position_embeddings=40, initializer_range=0.2)),
    electra=(ElectraForSequenceClassification, ElectraConfig, dict(**encoder, embedding_size=16)),
    albert=(AlbertForSequenceClassification, AlbertConfig, dict(**{**encoder, 'num_hidden_layers': 4}, embedding_size=24)),
    mpnet=(MPNetForSequenceClassification, MPNetConfig, dict(**text, max_position_embeddings=40)),
    nomic_bert=(NomicBertForSequenceClassification, NomicBertConfig, encoder),
    gte=(GteForSequenceClassification, GteConfig, encoder),
    ultrabert=(UltrabertForSequenceClassification, UltrabertConfig, dict(**decoder, sliding_window=2)),
    eurobert=(EuroBertForSequenceClassification, EuroBertConfig, decoder),
    esm=(EsmForSequenceClassification, EsmConfig, dict(**text, max_position_embeddings=40, pad_token_id=1, mask_token_id=9, position_embedding_type='rotary')),
    modernbert=(ModernBertForSequenceClassification, ModernBertConfig, dict(**text, max_position_embeddings=40, local_attention=6, pad_token_id=0)),
    vit=(ViTForImageClassification, ViTConfig, image),
    deit=(DeiTForImageClassification, DeiTConfig, image),
    dinov2=(Dinov2ForImageClassification, Dinov2Config, dino),
    dinov2_with_registers=(Dinov2WithRegistersForImageClassification, Dinov2WithRegistersConfig, dino),
    dinov3_vit=(DINOv3ViTForImageClassification, DINOv3ViTConfig, {**image, 'pos_embed_rescale': None}),
    convnext=(ConvNextForImageClassification, ConvNextConfig, {**convnext, 'layer_scale_init_value': 0.5}),
    convnextv2=(ConvNextV2ForImageClassification, ConvNextV2Config, convnext),
    swin=(SwinForImageClassification, SwinConfig, dict(image_size=16, patch_size=2, embed_dim=16, depths=[2, 1], num_heads=[2, 4], window_size=4, initializer_range=0.2)),
    siglip=(SiglipForImageClassification, SiglipConfig, dict(vision_config=tower, text_config=dict(**tower, vocab_size=8, bos_token_id=1, eos_token_id=2))),
    resnet=(ResNetForImageClassification, ResNetConfig, dict(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 2])),
)
# Written by Transformers 4 (or by other tools for it) and read, renamed or dropped by Transformers 5.
OLDER = dict(
    decoders=['rope_theta', 'rope_scaling', 'partial_rotary_factor', 'original_max_position_embeddings'],
    all=['model_type', 'torch_dtype', 'num_labels', '_name_or_path', 'finetuning_task', 'tokenizer_class', 'task_specific_params', 'torchscript', 'use_bfloat16',
         'pruned_heads', 'tie_word_embeddings', 'tie_encoder_decoder', 'cross_attention_hidden_size', 'is_decoder', 'add_cross_attention',
         'gradient_checkpointing', 'quantization_config', 'auto_map', '_attn_implementation_autoset', 'tf_legacy_loss', 'prefix', 'bos_token_id',
         'eos_token_id', 'pad_token_id', 'sep_token_id', 'decoder_start_token_id', 'per_layer_config', 'use_cache'],
    bert=['position_embedding_type', 'directionality', 'pooler_fc_size', 'pooler_num_attention_heads', 'pooler_num_fc_layers', 'pooler_size_per_head',
          'pooler_type'],
    gpt_oss=['num_experts', 'experts_per_token', 'initial_context_length'], mixtral=['num_experts'], olmoe=['num_local_experts'], afmoe=['num_local_experts', 'score_func', 'route_norm', 'n_group', 'topk_group', 'num_expert_groups', 'num_limited_groups', 'load_balance_coeff', 'use_grouped_mm'], mellum=['num_experts', 'num_mtp_layers', 'use_sliding_window', 'max_window_layers', 'decoder_sparse_step', 'mlp_only_layers'], qwen3_moe=['num_experts', 'max_window_layers'],
    qwen3_5=['attn_output_gate', 'output_gate_type', 'mamba_ssm_dtype', 'mtp_num_hidden_layers', 'mtp_use_dedicated_embeddings', 'mlp_only_layers', 'full_attention_interval'],
    qwen3_5_moe=['attn_output_gate', 'output_gate_type', 'mamba_ssm_dtype', 'mtp_num_hidden_layers', 'mtp_use_dedicated_embeddings', 'mlp_only_layers', 'decoder_sparse_step', 'norm_topk_prob', 'intermediate_size', 'full_attention_interval'],
    qwen3_next=['full_attention_interval', 'use_sliding_window'],
    granitemoehybrid=['layers_block_type', 'normalization_function', 'init_method'],
    exaone4=['sliding_window_pattern'],
    cohere2=['sliding_window_pattern', 'rms_norm_eps', 'cache_implementation', 'use_qk_norm', 'use_gated_activation', 'use_embedding_sharing', 'use_parallel_block',
             'use_parallel_embedding', 'position_embedding_type'],
    lfm2=['block_ff_dim', 'tie_embedding', 'hidden_act', 'rms_norm_eps', 'block_norm_eps', 'block_dim', 'conv_dim', 'conv_dim_out', 'num_heads', 'theta', 'use_pos_enc',
          'block_use_swiglu', 'block_mlp_init_scale', 'block_out_init_scale', 'block_use_xavier_init', 'conv_use_xavier_init'],
    lfm2_moe=['tie_embedding', 'hidden_act', 'rms_norm_eps', 'block_norm_eps', 'block_dim', 'conv_dim', 'conv_dim_out', 'num_heads', 'theta', 'use_pos_enc',
              'block_use_swiglu', 'block_mlp_init_scale', 'block_out_init_scale', 'block_use_xavier_init', 'conv_use_xavier_init'],
    nemotron_h=['num_hidden_layers', 'layer_types', 'hybrid_override_pattern', 'mtp_hybrid_override_pattern', 'attention_head_dim', 'hidden_act', 'rms_norm_eps', 'norm_eps', 'time_step_rank',
                'num_local_experts', 'mamba_n_groups', 'mamba_d_conv', 'mamba_expand', 'mamba_dt_min', 'mamba_dt_max', 'mamba_dt_limit', 'mamba_dt_init_floor', 'mamba_conv_bias', 'mamba_chunk_size'],
    falcon_h1=['head_dim', 'layer_types', 'layers_block_type', 'mamba_use_mlp', 'mlp_expansion_factor', 'attn_layer_indices', 'sliding_window', 'attention_chunk_size'],
    glm4_moe=['head_dim', 'num_local_experts', 'num_mtp_layers', 'num_nextn_predict_layers'],
    deepseek_v3=['num_local_experts', 'ep_size', 'aux_loss_alpha', 'seq_aux', 'moe_layer_freq', 'topk_method', 'scoring_func', 'index_topk', 'index_n_heads', 'index_head_dim'],
    glm4_moe_lite=['head_dim', 'num_local_experts', 'num_mtp_layers', 'num_nextn_predict_layers', 'first_k_dense_replace', 'topk_method', 'scoring_func'],
    mistral4=['num_local_experts', 'num_mtp_layers', 'num_nextn_predict_layers', 'topk_method', 'scoring_func'],
    starcoder2=['layer_norm_epsilon', 'rms_norm_eps', 'activation_function', 'mlp_type', 'norm_type', 'attention_softmax_in_fp32', 'scale_attention_softmax_in_fp32',
                'scale_attn_weights', 'mlp_bias', 'attention_bias', 'use_sliding_window'],
    stablelm=['head_dim', 'norm_eps', 'rms_norm_eps', 'rope_pct', 'rotary_scaling_factor', 'attention_bias', 'mlp_bias'],
    internlm3=['qkv_bias', 'bias', 'pretraining_tp'], iquestcoder=['clip_qkv', 'use_sliding_window', 'pretraining_tp'], helium=['use_sliding_window'], jais2=['rms_norm_eps', 'use_sliding_window'],
    vaultgemma=['hidden_act', 'sliding_window_pattern', 'cache_implementation', 'use_bidirectional_attention'], qwen2_moe=['attention_bias', 'num_local_experts', 'head_dim'],
    cohere=['rms_norm_eps', 'cache_implementation', 'use_gated_activation', 'use_embedding_sharing', 'use_parallel_block', 'use_parallel_embedding', 'position_embedding_type', 'head_dim'],
    cwm=['attention_bias', 'pretraining_tp'], flint=['num_local_experts', 'use_sliding_window', 'qkv_bias', 'max_window_layers'], kolibri1=['intermediate_size', 'use_sliding_window', 'attention_bias', 'decoder_sparse_step', 'mlp_only_layers'],
    granitemoe=['head_dim', 'mlp_bias'], granitemoeshared=['head_dim', 'mlp_bias'],
    cohere2_moe=['first_k_dense_replace', 'cache_implementation', 'use_qk_norm', 'use_gated_activation', 'use_embedding_sharing', 'use_parallel_block', 'use_parallel_embedding',
                 'position_embedding_type', 'use_sliding_window', 'mlp_bias', 'rotary_pct', 'num_local_experts'],
    phi=['head_dim', 'rms_norm_eps', 'attention_bias', 'mlp_bias', 'layer_types', 'sliding_window'],
    nanochat=['logits_soft_cap', 'qkv_bias'],
    modernbert_decoder=['position_embedding_type', 'global_attn_every_n_layers', 'global_rope_theta', 'local_rope_theta', 'rope_scaling', 'reference_compile', 'repad_logits_with_grad',
                        'deterministic_flash_attn', 'sparse_prediction', 'sparse_pred_ignore_index', 'classifier_pooling', 'layer_norm_eps', 'rms_norm_eps', 'hidden_act', 'head_dim',
                        'num_key_value_heads', 'is_causal'],
    gpt_neox=['head_dim', 'num_key_value_heads', 'rms_norm_eps', 'rotary_pct', 'rotary_emb_base', 'classifier_dropout'],
    gpt2=['n_ctx', 'hidden_size', 'num_hidden_layers', 'num_attention_heads', 'max_position_embeddings', 'intermediate_size', 'head_dim', 'num_key_value_heads', 'hidden_act',
          'layer_norm_eps', 'classifier_dropout', '_num_labels', 'afn', 'predict_special_tokens', 'n_special'],
    apertus=['qk_norm', 'post_norm', 'mlp_bias', 'hidden_dropout'],
    ernie4_5_moe=['head_dim', 'num_local_experts', 'moe_capacity', 'moe_gate', 'moe_use_aux_free', 'num_nextn_predict_layers'],
    olmo_hybrid=['head_dim', 'mlp_bias', 'sliding_window'],
    gemma=['hidden_activation'],
    gemma2=['hidden_act', 'sliding_window_pattern', 'cache_implementation'],
    gemma3=['hidden_act', 'sliding_window_pattern', '_sliding_window_pattern', 'rope_local_base_freq', 'cache_implementation'],
    gemma3n=['hidden_act', 'query_pre_attn_scalar', 'altup_lr_multiplier', 'rope_local_base_freq', 'use_bidirectional_attention'],
    gemma4=['hidden_act', 'global_head_dim', 'num_global_key_value_heads'], gemma4_unified=['hidden_act', 'global_head_dim', 'num_global_key_value_heads'],
    esm=['hidden_act', 'classifier_dropout', 'head_dim', 'rope_scaling', 'rope_parameters'],
    roberta=['position_embedding_type'], xlm_roberta=['position_embedding_type', 'output_past'], camembert=['position_embedding_type', 'output_past'],
    swin=['out_features', 'out_indices'],
    resnet=['out_features', 'out_indices'], convnext=['out_features', 'out_indices'], convnextv2=['out_features', 'out_indices'], dinov2=['out_features', 'out_indices'], dinov2_with_registers=['out_features', 'out_indices'],
    dinov3_vit=['out_features', 'out_indices', 'return_class_token'],
    distilbert=['tie_weights_', 'hidden_size', 'num_hidden_layers', 'num_attention_heads', 'output_past'], electra=['position_embedding_type'], albert=['position_embedding_type', 'down_scale_factor', 'gap_size', 'net_structure_type', 'num_memory_blocks', 'layers_to_keep', 'output_past'],
    modernbert=['position_embedding_type', 'global_attn_every_n_layers', 'global_rope_theta', 'local_rope_theta', 'rope_scaling', 'reference_compile',
                'repad_logits_with_grad', 'layer_norm_eps', 'sliding_window', 'head_dim'],
    deberta_v2=['position_buckets', 'norm_rel_ebd', 'share_att_key', 'cls_dropout', 'conv_kernel_size', 'conv_groups', 'conv_act', 'embedding_size',
                'attention_head_size', 'pooler_hidden_size', 'summary_type', 'summary_use_proj', 'summary_activation',
                'summary_first_dropout', 'summary_last_dropout'],
)
# Replacement values of a key, if neither twice the number nor the other boolean is suitable; of a list, one after the other.
CHANGES = dict(
    n_embd=[64], n_head=[2], n_inner=[96], n_positions=[80], n_ctx=[80], activation_function=['relu', 'tanh'],
    position_embedding_type=['rope', 'relative_key'], layers_block_type=[['full_attention', 'linear_attention']], block_ff_dim=[96], conv_L_cache=[4], full_attn_idxs=[[0]], block_ffn_dim_multiplier=[2.0],
    mamba_d_ssm=[64], ssm_multipliers=[[0.5, 2.0, 0.4, 0.3, 0.7]], mlp_multipliers=[[0.5, 2.0]],
    mlp_hidden_act=['silu'], mamba_hidden_act=['relu'], n_groups=[1], mamba_n_groups=[1], mamba_d_conv=[3], mamba_dt_min=[0.4], mamba_conv_bias=[False], hybrid_override_pattern=['M*'], hidden_dropout=[0.5],
    linear_num_key_heads=[1], linear_num_value_heads=[2], linear_key_head_dim=[4], linear_value_head_dim=[4], linear_conv_kernel_dim=[3],
    hidden_act=['relu', 'tanh'], hidden_activation=['relu', 'tanh'], no_rope_layers=[[0, 1]], mlp_layer_types=[['sparse', 'dense']], q_lora_rank=[16, None], kv_lora_rank=[16], qk_nope_head_dim=[12], qk_rope_head_dim=[8], v_head_dim=[12], no_rope_layer_interval=[1], sliding_window_pattern=[1],
    final_logit_softcapping=[2.0], attn_logit_softcapping=[0.1], rope_local_base_freq=[100.0],
    altup_num_inputs=[2], altup_active_idx=[1], activation_sparsity_pattern=[[0.0, 0.7, 0.0, 0.0]], num_kv_shared_layers=[2, 0], vocab_size_per_layer_input=[40],
    classifier_activation=['relu', 'tanh'], classifier_pooling=['mean'], local_attention=[2], global_attn_every_n_layers=[2, 1],
    token_dropout=[True], emb_layer_norm_before=[True], global_rope_theta=[500.0], local_rope_theta=[500.0],
    swiglu_alpha=[1.0], swiglu_limit=[0.01], num_experts=[2], num_local_experts=[2], num_experts_per_tok=[1], mlp_only_layers=[[0]], decoder_sparse_step=[2], moe_intermediate_size=[8], moe_num_experts=[2], moe_k=[1], moe_num_shared_experts=[1], moe_layer_start_index=[0], moe_layer_end_index=[0], moe_layer_interval=[2], moe_norm_min=[0.9], shared_expert_intermediate_size=[8], top_k_experts=[1], n_routed_experts=[16], clip_qkv=[0.1], n_group=[2], topk_group=[1],
    activation=['relu', 'tanh'], dim=[64], n_heads=[2], is_causal=[True, False], hidden_size=[64], num_attention_heads=[2], num_key_value_heads=[1], head_dim=[16], max_position_embeddings=[80],
    rope_parameters=[dict(rope_type='linear', rope_theta=10000.0, factor=2.0), dict(rope_type='default', rope_theta=500.0)],
    rope_scaling=[dict(type='linear', factor=2.0)], rope_theta=[500.0], partial_rotary_factor=[0.5], original_max_position_embeddings=[16],
    embed_dim=[8], num_heads=[[4, 4]], window_size=[2], vision_config=[dict(**tower, hidden_act='relu')], text_config=[dict(**tower, vocab_size=8, hidden_act='relu')],
    layer_scale_init_value=[0.0], num_stages=[1],
    pos_embed_shift=[0.5], pos_embed_jitter=[2.0], pos_embed_rescale=[2.0],
    pad_token_id=[7], bos_token_id=[9], eos_token_id=[9], sliding_window=[3], max_window_layers=[0], chunk_size_feed_forward=[16], return_dict=[True],
    layer_types=[['sliding_attention', 'full_attention']], dtype=['bfloat16'], torch_dtype=['bfloat16'],
    id2label={'0': 'a', '1': 'b', '2': 'c'}, label2id={'a': 0, 'b': 1}, num_labels=[3], problem_type=['multi_label_classification'],
    architectures=[['Other']], model_type=['other'], transformers_version=['4.0.0'], pos_att_type=[['c2p'], ['p2c'], 'p2c|c2p'], pooler_hidden_act=['relu'],
    norm_rel_ebd=['layer_norm'], position_buckets=[4], max_relative_positions=[8], conv_kernel_size=[3], conv_groups=[2], conv_act=['relu'],
    embedding_size=[16], attention_head_size=[16], pooler_hidden_size=[16], pooler_output_size=[16], pooler_act=['relu'], image_size=[32, [16, 8]],
    patch_size=[4], num_channels=[1], hidden_sizes=[[32, 64]], depths=[[1, 1]], layer_type=['basic'], classifier_dropout=[0.5], cls_dropout=[0.5],
    quantization_config=[dict(quant_method='bitsandbytes', load_in_8bit=True)],
    pruned_heads=[{'0': [1]}], per_layer_config=[{'0': {'intermediate_size': 16}}], tokenizer_class=['Other'], finetuning_task=['Other'],
    task_specific_params=[{'a': 1}], auto_map=[{'a': 'b'}], prefix=['a'], _name_or_path=['a'], name_or_path=['a'], cross_attention_hidden_size=[16],
    attn_implementation=['eager'], summary_type=['first'], summary_activation=['relu'], directionality=['uni'], pooler_type=['b'],
    sep_token_id=[5], decoder_start_token_id=[5], stage_names=[['a', 'b']], out_features=[['stage1']], out_indices=[[1]], attention_chunk_size=[3],
)
# Keys read by code that serves all models and set by no file: they control how the model runs, not what it computes.
INTERNAL = lambda key: key.startswith('__') or key in ('_attn_implementation', '_experts_implementation')


def recorded(config_class):
    """Returns a class like this one that records every attribute that is read, including missing ones."""
    reads = set()

    class Recording(config_class):
        def __getattribute__(self, name):
            if not name.startswith('__'):
                reads.add(name)
            return super().__getattribute__(name)
    Recording.__name__ = config_class.__name__
    return Recording, reads


def batch(model, config):
    generator = torch.Generator().manual_seed(3)
    if 'vocab_size' in vars(config):
        ids = torch.randint(3, 64, (2, 16), generator=generator)
        ids[0, 5] = 0  # the padding token, attended to
        ids[1, 4] = 1
        seen = torch.ones_like(ids)
        seen[1, 12:] = 0
        labels = ids.clone() if model.__class__.__name__.endswith(('CausalLM', 'LMHeadModel')) else torch.tensor([0, 1])
        return dict(input_ids=ids, attention_mask=seen, labels=labels)
    config = vars(config).get('vision_config', config)
    side = vars(config).get('image_size', 32)
    height, width = (side, side) if isinstance(side, int) else side
    return dict(pixel_values=torch.randn(2, config.num_channels, height, width, generator=generator), labels=torch.tensor([0, 1]))


def measure(model_class, config, weights=None):
    """Returns the results of a model with this config: start values, outputs in evaluation and in training, gradients."""
    torch.manual_seed(7)
    model = model_class(config)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    result = dict(start=start, shapes={name: tuple(p.shape) for name, p in start.items()})
    if weights is not None and {name: tuple(p.shape) for name, p in weights.items()} == result['shapes']:
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.copy_(weights[name])
    inputs = batch(model, config)
    out = model.eval()(**inputs, return_dict=True)
    result['logits'], result['loss'] = out.logits.detach().float(), out.loss.detach().float()
    out.loss.backward()
    result['gradients'] = {name: p.grad.detach().float() for name, p in model.named_parameters() if p.grad is not None}
    torch.manual_seed(11)
    result['training'] = model.train()(**inputs, return_dict=True).logits.detach().float()
    return result


def differs(a, b):
    if isinstance(a, dict):
        return a.keys() != b.keys() or any(differs(a[k], b[k]) for k in a)
    return a.shape != b.shape or a.dtype != b.dtype or not torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def effects(model_class, config_class, base, key, value, reference):
    try:
        config = config_class(**{**base, key: copy.deepcopy(value)})
        found = measure(model_class, config, reference['start'])
    except Exception as error:
        return ['error']
    if found['shapes'] != reference['shapes']:
        return ['shapes']
    return [name for name in ('start', 'logits', 'loss', 'gradients', 'training') if differs(found[name], reference[name])]


def choices(key, default):
    if key in CHANGES:
        return CHANGES[key] if isinstance(CHANGES[key], list) else [CHANGES[key]]
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, int):
        return [default * 2 + 1]
    if isinstance(default, float):
        return [0.4 if default != 0.4 else 0.3]
    return [True, 2]


def count_drops(model_class, config_class, base, rates, key):
    """Returns how often something is dropped in one forward pass of training when only this rate is nonzero."""
    model = model_class(config_class(**{**base, **{rate: 0.0 for rate in rates}, key: 0.5}, attn_implementation='eager')).train()
    count, dropout, rand = 0, torch.nn.functional.dropout, torch.rand

    def counting(x, p=0.5, training=True, inplace=False):
        nonlocal count
        count += training and p > 0
        return dropout(x, p, training, inplace)

    def of_path(*shape, **settings):
        nonlocal count
        count += 1
        return rand(*shape, **settings)
    torch.nn.functional.dropout, torch.rand = counting, of_path
    try:
        model(**batch(model, config_class(**base)))
    finally:
        torch.nn.functional.dropout, torch.rand = dropout, rand
    return count


def plain(value):
    # JSON has no infinite numbers.
    return json.loads(json.dumps(value, default=str).replace('Infinity', '"Infinity"')) if not isinstance(value, torch.dtype) else str(value)


ONLY = sys.argv[2:]
PATH = os.path.join(OUT, 'config_keys.json')
table = {}
if ONLY:
    with open(PATH) as file:
        table = json.load(file)['families']
generation = sorted(GenerationConfig._get_default_generation_params())
for family, (model_class, config_class, base) in FAMILIES.items():
    if ONLY and family not in ONLY:
        continue
    recording, reads = recorded(config_class)
    measure(model_class, recording(**base))
    defaults = config_class()
    known = {key for key in vars(defaults) if not key.startswith('_')}
    # Otherwise, a size that differs by layer is not read.
    defaults.allow_global_per_layer_attribute_access = True
    # Methods and properties are not keys; a private name stands for the same key.
    read = {key for key in reads if not INTERNAL(key) and not key.startswith('_') and not hasattr(PreTrainedConfig, key) and
            not callable(getattr(defaults, key, None))}
    older = OLDER['all'] + OLDER.get(family, []) + (OLDER['decoders'] if 'CausalLM' in model_class.__name__ else [])
    reference = measure(model_class, config_class(**base))
    keys = {}
    for key in sorted(known | read | set(older) | set(PreTrainedConfig().__dict__) - {k for k in vars(PreTrainedConfig()) if k.startswith('_')}):
        default = getattr(defaults, key, None)
        found = sorted({e for value in choices(key, base.get(key, default)) for e in effects(model_class, config_class, base, key, value, reference)})
        entry = dict(effects=found)
        if key in vars(defaults):
            entry['default'] = plain(default)
        if key in read and key not in known:
            entry['read_only'] = True
        keys[key] = entry
    rates = [key for key, entry in keys.items() if ('dropout' in key or key == 'drop_path_rate') and entry['effects'] == ['training']]
    for key in rates:
        keys[key]['drops'] = count_drops(model_class, config_class, base, rates, key)
    table[family] = dict(model=model_class.__name__, keys=keys)
    print(family, len(keys), {k: v['effects'] for k, v in keys.items() if v['effects']})
    print('   read, in no class:', sorted(read - known))

meta = dict(torch=torch.__version__, transformers=transformers.__version__)
table = {family: table[family] for family in FAMILIES}
with open(PATH, 'w') as file:
    families = ',\n'.join(f'{json.dumps(family)}:{{"model":{json.dumps(entry["model"])},"keys":{{\n' +
                          ',\n'.join(f'{json.dumps(key)}:{json.dumps(value)}' for key, value in entry['keys'].items()) + '}}'
                          for family, entry in table.items())
    file.write(f'{{"meta":{json.dumps(meta)},\n"generation":{json.dumps(generation)},\n"families":{{\n{families}}}}}\n')
