"""Golden folders of decoders: rope scalings, biases, tied embeddings, sliding windows, norms and multipliers of each family; and the
angular frequencies of Transformers' rope scalings. Deterministic (fixed seeds, 1 thread).
run: OMP_NUM_THREADS=1 python make_llama_family.py [folder [name of a golden folder…]]"""
import json, os, re, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from as_json import numbers, tensor
from file_names import file_names
from safetensors.torch import load_file, save_file
from transformers import (Cohere2Config, Cohere2ForCausalLM, Exaone4Config, Exaone4ForCausalLM, Glm4Config, Glm4ForCausalLM, GlmConfig, GlmForCausalLM,
                          HunYuanDenseV1Config, HunYuanDenseV1ForCausalLM, SeedOssConfig, SeedOssForCausalLM)
from transformers import CohereConfig, CohereForCausalLM, CwmConfig, CwmForCausalLM
from transformers import ApertusConfig, ApertusForCausalLM, ArceeConfig, ArceeForCausalLM, Ernie4_5Config, Ernie4_5ForCausalLM
from transformers import FalconH1Config, FalconH1ForCausalLM
from transformers import GemmaConfig, GemmaForCausalLM
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, StableLmConfig, StableLmForCausalLM, Starcoder2Config, Starcoder2ForCausalLM
from transformers import (GraniteMoeHybridConfig, GraniteMoeHybridForCausalLM, GraniteSWAConfig, GraniteSWAForCausalLM, Lfm2Config, Lfm2ForCausalLM,
                          Lfm3Config, Lfm3ForCausalLM, NemotronHConfig, NemotronHForCausalLM)
from transformers import Gemma3nForCausalLM, Gemma3nTextConfig
from transformers import HeliumConfig, HeliumForCausalLM, Jais2Config, Jais2ForCausalLM, PhiConfig, PhiForCausalLM, VaultGemmaConfig, VaultGemmaForCausalLM
from transformers import HyperCLOVAXConfig, HyperCLOVAXForCausalLM, NemotronConfig, NemotronForCausalLM
from transformers import ModernBertDecoderConfig, ModernBertDecoderForCausalLM
from transformers import NanoChatConfig, NanoChatForCausalLM
from transformers import OlmoHybridConfig, OlmoHybridForCausalLM
from transformers import YoutuConfig, YoutuForCausalLM
from transformers import Qwen3_5Config, Qwen3_5ForCausalLM, Qwen3_5ForConditionalGeneration, Qwen3_5TextConfig
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3Config, Qwen3ForCausalLM, Gemma2Config, Gemma2ForCausalLM, Gemma3Config, Gemma3ForCausalLM,
                          Gemma3ForConditionalGeneration, Gemma3TextConfig, GraniteConfig, GraniteForCausalLM, Olmo2Config,
                          Olmo2ForCausalLM, Olmo3Config, Olmo3ForCausalLM, SmolLM3Config, SmolLM3ForCausalLM, Phi3Config,
                          Phi3ForCausalLM, MinistralConfig, MinistralForCausalLM, Ministral3Config, Ministral3ForCausalLM,
                          Mistral3Config, Mistral3ForConditionalGeneration, Gemma4ForCausalLM, Gemma4TextConfig)
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
ONLY = sys.argv[2:]
META = dict(torch=torch.__version__, transformers=transformers.__version__,
            note='float32, eval mode; every parameter jittered by 0.05*randn so biases and norms matter')


def as_published(path, sizes):
    """Rewrites a file of OLMo Hybrid as Ai2 publishes it: parts of convolutions by the sizes of queries, keys and values, and norms by the kind of block."""
    held, kept = load_file(path), {}
    for name, values in held.items():
        at = name.split('linear_attn.')[0]
        if name.endswith('q_conv1d.weight'):
            whole = torch.cat([held[f'{at}linear_attn.{part}_conv1d.weight'] for part in 'qkv'])
            kept.update({f'{at}linear_attn.{part}_conv1d.weight': values.clone() for part, values in zip('qkv', whole.split(sizes))})
        elif name.endswith('feedforward_layer_norm.weight') and name.replace('feedforward', 'attention') not in held:
            kept[name.replace('feedforward_layer_norm', 'post_attention_layernorm')] = values
        elif '_conv1d' not in name:
            kept[name] = values
    save_file(kept, path, metadata=dict(format='pt'))


def as_text_part(name):
    """Rewrites a folder of Gemma 3n as it is published: as the text part of a model that also sees and hears, with the keys of all parts."""
    if ONLY and name not in ONLY:
        return
    inside = lambda tensor: re.sub('^model.', 'model.language_model.', tensor)
    path = lambda file: os.path.join(OUT, name, file)
    save_file({inside(n): values for n, values in load_file(path('model.safetensors')).items()}, path('model.safetensors'), metadata=dict(format='pt'))
    text, golden = json.load(open(path('config.json'))), json.load(open(path('golden.json')))
    golden['grads'] = {inside(n): values for n, values in golden['grads'].items()}
    whole = dict(architectures=['Gemma3nForConditionalGeneration'], model_type='gemma3n', text_config=text, vision_config=dict(model_type='gemma3n_vision'),
                 audio_config=dict(model_type='gemma3n_audio'), audio_soft_tokens_per_image=188, vision_soft_tokens_per_image=256, boi_token_id=255999, eoi_token_id=262144,
                 image_token_id=262145, boa_token_id=256000, eoa_token_id=262272, audio_token_id=262273, initializer_range=0.02, tie_word_embeddings=True)
    with open(path('config.json'), 'w') as file:
        json.dump(whole, file, indent=2, sort_keys=True)
    with open(path('golden.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))


def without_prefix(path):
    """Rewrites a file of GPT-2 as OpenAI's are published: without the name of the model without a head, and with the masks of attention."""
    kept = {name.removeprefix('transformer.'): values for name, values in load_file(path).items()}
    for name in [name for name in kept if name.endswith('attn.c_attn.weight')]:
        kept[name.replace('c_attn.weight', 'bias')] = torch.ones(8, 8).tril()[None, None]
    save_file(kept, path, metadata=dict(format='pt'))


def make(name, model_class, config, seed, tokens, published=None):
    """Saves a jittered random model with its results for a padded batch of two."""
    if ONLY and name not in ONLY:
        return
    torch.manual_seed(seed)
    model = model_class(config).eval()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        # States that last from chunk to chunk; those of a new model are forgotten within a few tokens.
        for n, p in model.named_parameters():
            if n.endswith('A_log'):
                p.copy_(torch.linspace(-5.0, 0.0, p.numel()))
        for n, p in model.named_parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
            # The coefficients of streams would hardly differ from token to token.
            if n.endswith(('modality_router.weight', '_coefs.weight')):
                p.mul_(8)
        # Buffers, which are not parameters, that multiply the output of a block.
        for n, b in model.named_buffers():
            if n.endswith('layer_scalar'):
                b.add_(0.3 * torch.randn(b.shape, generator=generator))
    ids = torch.randint(3, config.get_text_config().vocab_size, (2, tokens), generator=torch.Generator().manual_seed(seed + 2))
    seen = torch.ones_like(ids)
    seen[1, tokens - 3:] = 0
    labels = ids.clone()
    labels[1, tokens - 3:] = -100
    labels[0, 1:4] = -100
    folder = os.path.join(OUT, name)
    model.save_pretrained(folder)
    if published:
        published(os.path.join(folder, 'model.safetensors'))
        model = model_class.from_pretrained(folder, dtype=torch.float32).eval()
    out = model(input_ids=ids, attention_mask=seen, labels=labels)
    out.loss.backward()
    # For a model that also takes images: under the current names.
    names = {n: re.sub('^language_model.model.', 'model.language_model.', re.sub('^language_model.lm_head.', 'lm_head.', name))
             for n, name in file_names(model, folder).items()}
    grads = {names[n]: dict(shape=list(p.shape), l2=float(f'{p.grad.double().norm().item():.8g}'), first4=numbers(p.grad.flatten()[:4]))
             for n, p in model.named_parameters() if p.grad is not None}
    golden = dict(meta=META, model=model_class.__name__, inputs=dict(input_ids=tensor(ids), attention_mask=tensor(seen)), labels=tensor(labels),
                  loss=float(f'{out.loss.item():.8g}'), logits=tensor(out.logits), grads=grads)
    with open(os.path.join(folder, 'golden.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    print(name, golden['loss'], sum(p.numel() for p in model.parameters()))


small = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False)
# With these values, a head of 16 features has frequencies in all three regions of the rule: kept, blended, stretched.
LLAMA3 = dict(rope_type='llama3', rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
make('llama3_tied', LlamaForCausalLM, LlamaConfig(**{**small, 'head_dim': 16, 'max_position_embeddings': 256, 'tie_word_embeddings': True},
                                                  rope_parameters=LLAMA3), 101, 48)
make('llama_biased', LlamaForCausalLM, LlamaConfig(**small, attention_bias=True, mlp_bias=True), 111, 12)
make('llama_linear_rope', LlamaForCausalLM, LlamaConfig(**small, rope_parameters=dict(rope_type='linear', rope_theta=10000.0, factor=4.0)), 121, 20)
make('qwen2', Qwen2ForCausalLM, Qwen2Config(**{**small, 'tie_word_embeddings': True}), 131, 12)
make('qwen2_window', Qwen2ForCausalLM, Qwen2Config(**small, use_sliding_window=True, sliding_window=5, max_window_layers=1), 141, 16)
make('mistral_window', MistralForCausalLM, MistralConfig(**small, sliding_window=5), 151, 16)

# Norms of each head's queries and keys; the head size is not the hidden size divided by the heads.
make('qwen3', Qwen3ForCausalLM, Qwen3Config(**{**small, 'head_dim': 12, 'tie_word_embeddings': True}), 161, 12)
make('qwen3_window', Qwen3ForCausalLM, Qwen3Config(**{**small, 'head_dim': 16, 'num_key_value_heads': 1}, attention_bias=True, use_sliding_window=True,
     sliding_window=5, max_window_layers=1), 171, 16)

# Blocks with a state that lasts for more than one chunk of 64 tokens, two value heads per key head; gates on the outputs of attention.
delta = dict(**{**small, 'num_hidden_layers': 3, 'head_dim': 16, 'max_position_embeddings': 128}, layer_types=['linear_attention', 'full_attention', 'linear_attention'],
             linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=6,
             rope_parameters=dict(rope_type='default', rope_theta=10000.0, partial_rotary_factor=0.25, mrope_section=[1, 1, 0], mrope_interleaved=True))
make('qwen3_5', Qwen3_5ForCausalLM, Qwen3_5TextConfig(**{**delta, 'tie_word_embeddings': True}), 401, 72)
towers = dict(depth=1, hidden_size=16, intermediate_size=16, num_heads=2, patch_size=4, out_hidden_size=32, num_position_embeddings=16)
make('qwen3_5_images', Qwen3_5ForConditionalGeneration, Qwen3_5Config(text_config={**delta, 'linear_num_value_heads': 2, 'attention_bias': True}, vision_config=towers,
     image_token_id=60, video_token_id=61, vision_start_token_id=62, vision_end_token_id=63), 411, 20)

# Norms before the parts of blocks with a state, and after those of blocks with attention; states of more than one chunk with negative
# eigenvalues and without positions, as Ai2 publishes them; then two value heads per key head, positions, biases, and rates of at most 1, as
# Transformers saves them.
hybrid = {**{k: v for k, v in small.items() if k != 'num_hidden_layers'}, 'max_position_embeddings': 128, 'rms_norm_eps': 1e-3}
make('olmo_hybrid', OlmoHybridForCausalLM, OlmoHybridConfig(**hybrid, num_hidden_layers=3, layer_types=['linear_attention', 'full_attention', 'linear_attention'],
     linear_num_key_heads=4, linear_num_value_heads=4, linear_key_head_dim=4, linear_value_head_dim=8, rope_theta=None), 641, 72, published=lambda path: as_published(path, [16, 16, 32]))
make('olmo_hybrid_saved', OlmoHybridForCausalLM, OlmoHybridConfig(**{**hybrid, 'tie_word_embeddings': True}, num_hidden_layers=2, layer_types=['full_attention', 'linear_attention'],
     linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=6, linear_conv_kernel_dim=3, linear_allow_neg_eigval=False,
     attention_bias=True), 651, 20)

# Norms whose weights count from 1, and scaled embeddings.
make('gemma', GemmaForCausalLM, GemmaConfig(**{**small, 'tie_word_embeddings': True}, head_dim=12), 721, 12)

# Soft caps that take effect, a scale other than the head's; then neither, with a window longer than the sequence.
gemma = dict(**{**small, 'num_hidden_layers': 3, 'tie_word_embeddings': True}, attn_implementation='eager')
make('gemma2', Gemma2ForCausalLM, Gemma2Config(**gemma, head_dim=12, query_pre_attn_scalar=20, sliding_window=5, attn_logit_softcapping=0.5,
     final_logit_softcapping=2.0), 181, 16)
make('gemma2_untied', Gemma2ForCausalLM, Gemma2Config(**{**gemma, 'tie_word_embeddings': False}, head_dim=8, query_pre_attn_scalar=8, sliding_window=32,
     attn_logit_softcapping=None, final_logit_softcapping=None, attention_bias=True), 191, 12)
turns = dict(full_attention=dict(rope_type='linear', rope_theta=10000.0, factor=4.0), sliding_attention=dict(rope_type='default', rope_theta=100.0))
layers = ['sliding_attention', 'full_attention', 'sliding_attention']
make('gemma3', Gemma3ForCausalLM, Gemma3TextConfig(**gemma, head_dim=12, query_pre_attn_scalar=20, sliding_window=5, layer_types=layers,
     rope_parameters=turns), 201, 16)
make('gemma3_untied', Gemma3ForCausalLM, Gemma3TextConfig(**{**gemma, 'tie_word_embeddings': False}, head_dim=8, query_pre_attn_scalar=8,
     sliding_window=32, attention_bias=True, final_logit_softcapping=2.0), 211, 12)
vision = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8)
make('gemma3_images', Gemma3ForConditionalGeneration, Gemma3Config(text_config=dict(**gemma, head_dim=12, query_pre_attn_scalar=20, sliding_window=5,
     layer_types=layers, rope_parameters=turns), vision_config=vision, mm_tokens_per_image=4, boi_token_index=60, eoi_token_index=61,
     image_token_index=62), 221, 16)

# Layers without rotary positions, with windows.
make('smollm3', SmolLM3ForCausalLM, SmolLM3Config(**{**small, 'num_hidden_layers': 3, 'tie_word_embeddings': True}, no_rope_layers=[1, 0, 1]), 231, 12)
make('smollm3_window', SmolLM3ForCausalLM, SmolLM3Config(**small, no_rope_layer_interval=2, use_sliding_window=True, sliding_window=5,
     attention_bias=True, mlp_bias=True), 241, 16)
# Norms only after attention and MLP; those of queries and keys are over all heads.
make('olmo2', Olmo2ForCausalLM, Olmo2Config(**small), 251, 12)
make('olmo2_tied', Olmo2ForCausalLM, Olmo2Config(**{**small, 'num_key_value_heads': 4, 'tie_word_embeddings': True}, attention_bias=True), 261, 12)
make('olmo3', Olmo3ForCausalLM, Olmo3Config(**{**small, 'num_hidden_layers': 3}, sliding_window=5, layer_types=layers, rope_parameters=dict(
     full_attention=dict(rope_type='linear', rope_theta=10000.0, factor=4.0), sliding_attention=dict(rope_type='default', rope_theta=10000.0))), 271, 16)
granite = dict(embedding_multiplier=12.0, logits_scaling=8.0, residual_multiplier=0.22, attention_multiplier=0.3)
make('granite', GraniteForCausalLM, GraniteConfig(**{**small, 'tie_word_embeddings': True}, **granite), 281, 12)
make('granite_untied', GraniteForCausalLM, GraniteConfig(**small, **granite, attention_bias=True, mlp_bias=True), 291, 12)
make('granite_swa', GraniteSWAForCausalLM, GraniteSWAConfig(**{**small, 'num_hidden_layers': 3, 'tie_word_embeddings': True}, **granite, sliding_window=5,
                                                            layer_rope_theta=[0, 10000.0, 500.0]), 521, 16)

# Norms after attention and MLP too, and logits that are multiplied; then without these norms, and with the usual factor of the scores.
make('hyperclovax', HyperCLOVAXForCausalLM, HyperCLOVAXConfig(**{**small, 'head_dim': 12, 'tie_word_embeddings': True}, embedding_multiplier=10.0, logits_scaling=0.4,
     residual_multiplier=0.7, attention_multiplier=0.2), 841, 12)
make('hyperclovax_plain', HyperCLOVAXForCausalLM, HyperCLOVAXConfig(**small, logits_scaling=0.125, use_post_norm=False, attention_bias=True, mlp_bias=True), 851, 12)

# Gate and up in one matrix, with and without positions.
dense = dict(num_local_experts=0, layer_types=['attention', 'attention'], shared_intermediate_size=40, mamba_n_heads=4)
make('granite4', GraniteMoeHybridForCausalLM, GraniteMoeHybridConfig(**{**small, 'tie_word_embeddings': True}, **granite, **dense, position_embedding_type='rope'), 441, 12)
make('granite4_untied', GraniteMoeHybridForCausalLM, GraniteMoeHybridConfig(**small, **granite, **dense, position_embedding_type='nope', attention_bias=True), 451, 12)
# Mamba-2 around a block with attention: heads in two groups with texts of several chunks, and without positions; then one group, with
# biases, one chunk and steps within limits that many reach.
mamba = dict(num_local_experts=0, layer_types=['mamba', 'attention', 'mamba'], shared_intermediate_size=40, mamba_n_heads=4, mamba_d_state=6)
make('granite4_mamba', GraniteMoeHybridForCausalLM, GraniteMoeHybridConfig(**{**small, 'num_hidden_layers': 3, 'tie_word_embeddings': True}, **granite, **mamba,
     mamba_n_groups=2, mamba_chunk_size=8, position_embedding_type='nope'), 561, 20)
make('granite4_mamba_untied', GraniteMoeHybridForCausalLM, GraniteMoeHybridConfig(**{**small, 'num_hidden_layers': 3}, **granite, **mamba, mamba_d_conv=3,
     mamba_proj_bias=True, mamba_conv_bias=False, time_step_limit=(0.3, 0.8), position_embedding_type='rope'), 571, 12)

# One part per block: Mamba-2 with two groups, attention without positions, and squared-ReLU MLPs.
nemotron = {k: v for k, v in small.items() if k not in ('num_hidden_layers', 'rms_norm_eps')}
make('nemotron_h', NemotronHForCausalLM, NemotronHConfig(**nemotron, layers_block_type=['linear_attention', 'mlp', 'full_attention'], head_dim=16,
     mamba_num_heads=4, mamba_head_dim=8, n_groups=2, ssm_state_size=6, chunk_size=8), 581, 20)

# Mamba-2 and attention side by side, with heads of other sizes than the hidden size gives, and a multiplier everywhere; then with norms, biases and
# limits of the time steps.
falcon = dict(mamba_n_heads=4, mamba_d_state=6, mamba_chunk_size=8, embedding_multiplier=5.66, lm_head_multiplier=0.5, attention_in_multiplier=1.2,
              key_multiplier=1.7, attention_out_multiplier=0.8, ssm_in_multiplier=2.5, ssm_multipliers=[0.7, 1.5, 1.3, 2.0, 0.8], ssm_out_multiplier=1.4,
              mlp_multipliers=[1.3, 0.6])
make('falcon_h1', FalconH1ForCausalLM, FalconH1Config(**{**small, 'head_dim': 12}, **falcon, mamba_d_ssm=48), 601, 20)
make('falcon_h1_normed', FalconH1ForCausalLM, FalconH1Config(**{**small, 'tie_word_embeddings': True}, **falcon, mamba_d_ssm=None, mamba_n_groups=2,
     mamba_rms_norm=True, mamba_norm_before_gate=True, mamba_d_conv=3, mamba_conv_bias=False, mamba_proj_bias=True, projectors_bias=True,
     attention_bias=True, mlp_bias=True, time_step_limit=(0.3, 0.8)), 611, 12)

# Short convolutions around a block with attention; the MLP width adjusted by the config, and unadjusted.
lfm2 = {**small, 'num_hidden_layers': 3}
make('lfm2', Lfm2ForCausalLM, Lfm2Config(**{**lfm2, 'tie_word_embeddings': True}, layer_types=['conv', 'full_attention', 'conv'], block_multiple_of=20), 421, 16)
make('lfm2_untied', Lfm2ForCausalLM, Lfm2Config(**lfm2, full_attn_idxs=[0, 2], conv_L_cache=4, conv_bias=True, block_auto_adjust_ff_dim=False), 431, 12)
make('lfm3', Lfm3ForCausalLM, Lfm3Config(**{**small, 'num_hidden_layers': 4, 'tie_word_embeddings': True}, head_dim=8, conv_L_cache=5, sliding_window=5,
                                         layer_types=['conv', 'sliding_attention', 'full_attention', 'conv']), 501, 16)
make('lfm3_untied', Lfm3ForCausalLM, Lfm3Config(**{**small, 'num_hidden_layers': 3}, head_dim=8, sliding_window=5, conv_bias=True, attention_bias=True,
                                                use_attention_gate=False, layer_types=['sliding_attention', 'conv', 'full_attention']), 511, 12)

# Half of each head is rotated, in neighboring pairs; with norms after attention and MLP, and without.
make('glm', GlmForCausalLM, GlmConfig(**{**small, 'head_dim': 12, 'tie_word_embeddings': True}, attention_bias=False), 461, 12)
make('glm4', Glm4ForCausalLM, Glm4Config(**{**small, 'head_dim': 8}), 471, 12)
# Layers with a window rotate and others do not; without windows, all rotate.
make('exaone4', Exaone4ForCausalLM, Exaone4Config(**{**small, 'num_hidden_layers': 3, 'tie_word_embeddings': True}, sliding_window=5, layer_types=layers), 481, 16)
make('exaone4_untied', Exaone4ForCausalLM, Exaone4Config(**small, sliding_window=None, layer_types=['full_attention'] * 2), 491, 12)
make('seed_oss', SeedOssForCausalLM, SeedOssConfig(**{**small, 'head_dim': 12}), 501, 12)
make('seed_oss_tied', SeedOssForCausalLM, SeedOssConfig(**{**small, 'head_dim': 8, 'tie_word_embeddings': True}, attention_bias=False, attention_out_bias=True, mlp_bias=True), 511, 12)
# The whole head is rotated in neighboring pairs, with biases in all layers of a block.
make('ernie4_5', Ernie4_5ForCausalLM, Ernie4_5Config(**{**small, 'head_dim': 12, 'tie_word_embeddings': True}, use_bias=True), 591, 12)
# MLPs without gates, whose activation has numbers of its own; norms of heads.
neox = {key: value for key, value in small.items() if key not in ('num_key_value_heads', 'rms_norm_eps')}
# Attention and MLP read the input of the block, and a quarter of each head of 16 features turns.
make('gpt_neox', GPTNeoXForCausalLM, GPTNeoXConfig(**{**neox, 'hidden_size': 64}, layer_norm_eps=1e-5), 641, 12)
# One after the other, half of each head turns at another base, without biases of attention; a tied head.
make('gpt_neox_sequential', GPTNeoXForCausalLM, GPTNeoXConfig(**{**neox, 'tie_word_embeddings': True}, use_parallel_residual=False, rotary_pct=0.5, rotary_emb_base=500.0,
     attention_bias=False, hidden_act='gelu_new'), 651, 12)
# Learned positions, and weights that files store as [in, out]: tied; then untied, with its own width of MLPs and scores that shrink from block to
# block.
gpt2 = dict(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2, pad_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
make('gpt2', GPT2LMHeadModel, GPT2Config(**gpt2), 661, 12)
make('gpt2_bare', GPT2LMHeadModel, GPT2Config(**gpt2, n_inner=48, activation_function='relu', scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False), 671, 12,
     published=without_prefix)
make('apertus', ApertusForCausalLM, ApertusConfig(**small, rope_parameters=LLAMA3), 631, 12)
# Latent attention in front of plain MLPs: queries from a latent vector with biases, heads with narrower values, yarn that scales the scores; then
# queries from the states, and rotation in halves. No padding, whose row Transformers sets to 0 when it loads a file.
youtu = {**small, 'num_key_value_heads': 4, 'kv_lora_rank': 12, 'pad_token_id': None}
make('youtu', YoutuForCausalLM, YoutuConfig(**youtu, q_lora_rank=20, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=6, attention_bias=True, rope_parameters=dict(
     rope_type='yarn', rope_theta=10000.0, factor=4.0, mscale=1.0, mscale_all_dim=0.7, original_max_position_embeddings=16)), 681, 24)
make('youtu_tied', YoutuForCausalLM, YoutuConfig(**{**youtu, 'tie_word_embeddings': True}, q_lora_rank=None, qk_nope_head_dim=6, qk_rope_head_dim=8, v_head_dim=16,
     rope_interleave=False), 691, 12)
# Layer norms and an MLP without a gate, with a window in all blocks and biases in all layers.
starcoder = {key: value for key, value in small.items() if key != 'rms_norm_eps'}
make('starcoder2', Starcoder2ForCausalLM, Starcoder2Config(**{**starcoder, 'tie_word_embeddings': True}, sliding_window=5), 691, 12)
# Layer norms around an MLP with a gate, and a quarter of each head rotates; then attention and MLP side by side, which read the same norm.
make('stablelm', StableLmForCausalLM, StableLmConfig(**{**starcoder, 'num_attention_heads': 2, 'num_key_value_heads': 1}, use_qkv_bias=True), 701, 12)
make('stablelm_parallel', StableLmForCausalLM, StableLmConfig(**{**starcoder, 'tie_word_embeddings': True}, use_parallel_residual=True, partial_rotary_factor=0.5), 711, 12)
# Attention and MLP side by side, half of each head rotates, with norms of queries and keys and biases everywhere, also in the head.
make('phi', PhiForCausalLM, PhiConfig(**starcoder, qk_layernorm=True), 721, 12)
# Gemma 2 without norms after attention and MLP; layer norms, biases and squared ReLUs; a rotation of neighboring pairs at another base.
make('vaultgemma', VaultGemmaForCausalLM, VaultGemmaConfig(**{**small, 'tie_word_embeddings': True}, head_dim=8, query_pre_attn_scalar=16, sliding_window=5,
     attn_logit_softcapping=1.0, final_logit_softcapping=2.0), 731, 16)
make('jais2', Jais2ForCausalLM, Jais2Config(**starcoder), 741, 12)
# Layer norms whose weights count from 1, and half of each head rotates.
make('nemotron', NemotronForCausalLM, NemotronConfig(**{**starcoder, 'head_dim': 12}, attention_bias=True), 861, 12)
make('helium', HeliumForCausalLM, HeliumConfig(**small, head_dim=8, mlp_bias=True), 751, 12)
# MLPs without gates, with biases.
make('arcee', ArceeForCausalLM, ArceeConfig(**small, attention_bias=True, mlp_bias=True), 621, 12)
# Norms after the rotation, whose weight differs between the two features of a pair; a stretched base, and dynamic scaling.
make('hunyuan', HunYuanDenseV1ForCausalLM, HunYuanDenseV1Config(**{**small, 'head_dim': 16, 'tie_word_embeddings': True}, rope_parameters=dict(rope_type='dynamic',
     rope_theta=10000.0, alpha=50.0, factor=1.0)), 521, 12)
make('hunyuan_untied', HunYuanDenseV1ForCausalLM, HunYuanDenseV1Config(**{**small, 'head_dim': 8}, attention_bias=True), 531, 12)
# Attention and MLP in parallel; layers with full attention do not rotate.
make('cohere2', Cohere2ForCausalLM, Cohere2Config(**{**small, 'num_hidden_layers': 3, 'tie_word_embeddings': True}, sliding_window=5, layer_types=layers, logit_scale=0.4), 541, 16)
make('cohere2_untied', Cohere2ForCausalLM, Cohere2Config(**small, sliding_window=32, attention_bias=True), 551, 12)

make('cohere', CohereForCausalLM, CohereConfig(**{**small, 'tie_word_embeddings': True}, logit_scale=0.4), 761, 12)
# Windows in three of four layers; positions stretched as Llama 3 does.
make('cwm', CwmForCausalLM, CwmConfig(**{**small, 'num_hidden_layers': 3}, head_dim=12, sliding_window=5, mlp_bias=True, rope_parameters=dict(rope_type='llama3',
     rope_theta=1000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)), 771, 16)

# Norms without weights, before the first block too; positions that rotate the other way.
make('nanochat', NanoChatForCausalLM, NanoChatConfig(**small, final_logit_softcapping=2.0), 801, 16)
make('nanochat_tied', NanoChatForCausalLM, NanoChatConfig(**{**small, 'tie_word_embeddings': True, 'num_key_value_heads': 4}, attention_bias=True, hidden_act='gelu_new',
     rope_parameters=dict(rope_type='linear', rope_theta=1000.0, factor=2.0)), 811, 12)

# A head that is the embedding with a bias, layers before it, and windows of half the stated size; then every bias, a head of its own and other bases.
ettin = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4, max_position_embeddings=64,
             initializer_range=0.3,
             pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2)
make('modernbert_decoder', ModernBertDecoderForCausalLM, ModernBertDecoderConfig(**ettin, local_attention=10), 821, 16)
make('modernbert_decoder_biased', ModernBertDecoderForCausalLM, ModernBertDecoderConfig(**{**ettin, 'num_hidden_layers': 3}, local_attention=8, tie_word_embeddings=False,
     norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True, classifier_activation='silu', hidden_activation='relu', layer_types=layers,
     rope_parameters=dict(full_attention=dict(rope_type='linear', factor=2.0, rope_theta=1000.0), sliding_attention=dict(rope_type='default', rope_theta=100.0))), 831, 12)

# Fused projections; a part of each head is rotated; texts up to and beyond the original length of longrope.
make('phi3', Phi3ForCausalLM, Phi3Config(**small, sliding_window=5), 301, 16)
LONG = dict(rope_type='longrope', short_factor=[1.0, 1.1, 1.3], long_factor=[1.0, 2.0, 5.0])
longrope = lambda **more: Phi3Config(**{**small, 'max_position_embeddings': 96, 'tie_word_embeddings': True, **more}, partial_rotary_factor=0.75,
                                     original_max_position_embeddings=24, rope_parameters=dict(LONG))
make('phi3_short', Phi3ForCausalLM, longrope(), 311, 24)
make('phi3_long', Phi3ForCausalLM, longrope(), 311, 40)

# Yarn below and beyond its original length, with an explicit attention factor, with mscale, and with a derived one; queries that grow.
YARN = dict(rope_type='yarn', rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16)
make('llama_yarn', LlamaForCausalLM, LlamaConfig(**{**small, 'head_dim': 16}, rope_parameters=dict(YARN)), 321, 40)
make('qwen3_yarn', Qwen3ForCausalLM, Qwen3Config(**{**small, 'head_dim': 16}, rope_parameters=dict(YARN, beta_fast=4.0, beta_slow=0.5,
     truncate=False, attention_factor=1.3)), 331, 12)
make('llama_longrope', LlamaForCausalLM, LlamaConfig(**small, rope_parameters=dict(rope_type='longrope', rope_theta=10000.0, factor=4.0,
     original_max_position_embeddings=16, short_factor=[1.0, 1.1, 1.3, 1.5], long_factor=[1.0, 2.0, 5.0, 9.0])), 341, 20)
make('llama_dynamic', LlamaForCausalLM, LlamaConfig(**{**small, 'max_position_embeddings': 16}, rope_parameters=dict(rope_type='dynamic',
     rope_theta=10000.0, factor=3.0)), 351, 40)
make('olmo3_yarn', Olmo3ForCausalLM, Olmo3Config(**{**small, 'num_hidden_layers': 3, 'head_dim': 16}, sliding_window=5, layer_types=layers, rope_parameters=dict(
     full_attention=dict(YARN, attention_factor=1.2), sliding_attention=dict(rope_type='default', rope_theta=10000.0))), 361, 40)
make('ministral', MinistralForCausalLM, MinistralConfig(**{**small, 'head_dim': 12}, sliding_window=5, layer_types=['sliding_attention', 'full_attention']),
     371, 16)
make('ministral3', Ministral3ForCausalLM, Ministral3Config(**{**small, 'head_dim': 16}, rope_parameters=dict(YARN, mscale=1.0, mscale_all_dim=0.5,
     llama_4_scaling_beta=0.2)), 381, 40)

# A decoder inside a model that also takes images, under the names in current files.
pixtral = dict(model_type='pixtral', hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8, head_dim=8)
make('mistral3_images', Mistral3ForConditionalGeneration, Mistral3Config(text_config=dict(**{**small, 'head_dim': 16}, model_type='ministral3',
     rope_parameters=dict(YARN, mscale=1.0, mscale_all_dim=0.5, llama_4_scaling_beta=0.2)), vision_config=pixtral, image_token_index=62,
     tie_word_embeddings=False), 391, 40)

# Heads of two sizes, the last two blocks without keys and values, an input for each block, MLPs of two widths; then keys that are also
# values, without inputs. `make_gemma4_vision.py` makes the models that also take images.
both = ['sliding_attention', 'sliding_attention', 'full_attention', 'sliding_attention', 'full_attention']
four = dict(**{**gemma, 'num_hidden_layers': 5, 'head_dim': 8, 'layer_types': both}, global_head_dim=16, sliding_window=5, num_kv_shared_layers=2,
            vocab_size_per_layer_input=64, hidden_size_per_layer_input=6, use_double_wide_mlp=True, final_logit_softcapping=2.0)
alike = dict(**{**four, 'hidden_size_per_layer_input': 0, 'num_kv_shared_layers': 0, 'use_double_wide_mlp': False}, attention_k_eq_v=True,
             num_global_key_value_heads=1)
make('gemma4', Gemma4ForCausalLM, Gemma4TextConfig(**four), 401, 16)
make('gemma4_untied', Gemma4ForCausalLM, Gemma4TextConfig(**{**alike, 'tie_word_embeddings': False, 'sliding_window': 32}, attention_bias=True), 411, 12)
# Four streams, an input for each block (with fewer rows than tokens), sparse gates in two of five blocks, the last two without keys and values; then
# another stream that is computed, no blocks that share, and the names of the text part of a model that also sees and hears.
inner = dict(laurel_rank=6, hidden_size_per_layer_input=6, vocab_size_per_layer_input=60, sliding_window=5)
make('gemma3n', Gemma3nForCausalLM, Gemma3nTextConfig(**{**gemma, 'num_hidden_layers': 5, 'head_dim': 8, 'layer_types': both, 'intermediate_size': [48, 40, 48, 56, 48]}, **inner,
     num_kv_shared_layers=2, activation_sparsity_pattern=[0.7, 0.0, 0.3, 0.0, 0.0], final_logit_softcapping=2.0), 781, 16)
make('gemma3n_text', Gemma3nForCausalLM, Gemma3nTextConfig(**{**gemma, 'num_hidden_layers': 3, 'head_dim': 16, 'num_key_value_heads': 1}, **inner, num_kv_shared_layers=0,
     altup_num_inputs=3, altup_active_idx=1, attention_bias=True, final_logit_softcapping=1.5), 791, 12)
as_text_part('gemma3n_text')


def frequencies(rope_type, head_dim, **rope):
    """Returns angular frequencies (inv_freq in Transformers), in radians per position."""
    config = LlamaConfig(hidden_size=head_dim, num_attention_heads=1, max_position_embeddings=131072,
                         rope_parameters=dict(rope_type=rope_type, rope_theta=500000.0, **rope))
    return numbers(ROPE_INIT_FUNCTIONS[rope_type](config, 'cpu')[0])


LLAMA31 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)
PART = dict(factor=2.0, partial_rotary_factor=0.3)
YARN32 = dict(factor=32.0, original_max_position_embeddings=4096, beta_fast=32.0, beta_slow=1.0)
table = dict(meta=META, theta=500000.0, head_dim=128,
             linear=dict(factor=4.0, frequencies=frequencies('linear', 128, factor=4.0)),
             llama3=dict(**LLAMA31, frequencies=frequencies('llama3', 128, **LLAMA31)),
             yarn=dict(**YARN32, frequencies=frequencies('yarn', 128, **YARN32)),
             proportional=dict(**PART, frequencies=frequencies('proportional', 128, **PART)))
with open(os.path.join(OUT, 'rope_frequencies.json'), 'w') as file:
    json.dump(table, file, separators=(',', ':'))
