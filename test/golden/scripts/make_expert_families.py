"""Golden folders of mixtures of experts: Mixtral, Qwen3-MoE, Qwen3.5, Qwen3-Next, gpt-oss, Gemma 4, LFM2, GLM-4, DeepSeek-V3, Mistral 4, ERNIE 4.5, AFMoE, Mellum,
OLMoE, Granite 3 and 4, Qwen2-MoE, Cohere 2, Nemotron 3, Flint and Kolibri 1, with tiny random weights. Gradients have the names that we give to the stacked matrices of all experts. gpt_oss_mxfp4 holds the experts as four-bit blocks,
packed here according to the format's definition; Transformers computes with the values that these blocks represent.
Deterministic (fixed seeds, 1 thread).
run: OMP_NUM_THREADS=1 python make_expert_families.py [folder [name of a golden folder…]]"""
import json, os, re, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from as_json import numbers, tensor
from safetensors.torch import load_file, save_file
from transformers import Cohere2MoeConfig, Cohere2MoeForCausalLM, GraniteMoeConfig, GraniteMoeForCausalLM, GraniteMoeSWAConfig, GraniteMoeSWAForCausalLM, Qwen2MoeConfig, Qwen2MoeForCausalLM
from transformers import FlintConfig, FlintForCausalLM, Kolibri1Config, Kolibri1ForCausalLM
from transformers import AfmoeConfig, AfmoeForCausalLM, MellumConfig, MellumForCausalLM
from transformers import (DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM, Ernie4_5_MoeConfig, Ernie4_5_MoeForCausalLM, Gemma4ForCausalLM, Gemma4TextConfig, Glm4MoeConfig, Glm4MoeForCausalLM,
                          Glm4MoeLiteConfig, Glm4MoeLiteForCausalLM, GptOssConfig, GptOssForCausalLM, GraniteMoeHybridConfig,
                          GraniteMoeHybridForCausalLM, Lfm2MoeConfig,
                          Lfm2MoeForCausalLM, Mistral4Config, Mistral4ForCausalLM, MixtralConfig, MixtralForCausalLM, NemotronHConfig, NemotronHForCausalLM, OlmoeConfig, OlmoeForCausalLM, Qwen3_5MoeConfig, Qwen3_5MoeForCausalLM, Qwen3_5MoeForConditionalGeneration, Qwen3_5MoeTextConfig, Qwen3MoeConfig, Qwen3MoeForCausalLM,
                          Qwen3NextConfig, Qwen3NextForCausalLM)

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
ONLY = sys.argv[2:]
META = dict(torch=torch.__version__, transformers=transformers.__version__,
            note='float32, eval mode; every parameter jittered by 0.05*randn so biases and norms matter; routers by 0.5*randn so that choices are clear')


def parts_of(model, name, x):
    """Returns (our name, values) of a parameter of Transformers 5: expert matrices [experts · out, in], with gate and up separate if files have them so."""
    family = model.config.get_text_config().model_type
    if family == 'nemotron_h':
        ours = name.replace('model.', 'backbone.', 1)
        return [(f'{ours}.weight', x.flatten(0, 1))] if '.experts.' in name else [(ours, x)]
    of_block = {'gemma4_text': '.experts.', 'lfm2_moe': '.feed_forward.experts.', 'granitemoehybrid': '.block_sparse_moe.experts.',
                'granitemoe': '.block_sparse_moe.experts.', 'granitemoe_swa': '.block_sparse_moe.experts.'}.get(family, '.mlp.experts.')
    at, experts, last = name.partition(of_block)
    if not experts:
        of_file = {'mixtral': ('.mlp.gate.', '.block_sparse_moe.gate.'), 'flint': ('.self_attn.sinks', '.self_attn.softmax_offset'), **dict.fromkeys(('granitemoe', 'granitemoehybrid'), ('.block_sparse_moe.router.', '.block_sparse_moe.router.layer.'))}
        return [(name.replace(*of_file[family]) if family in of_file else name, x)]
    if family == 'gpt_oss':
        if last.endswith('_bias'):
            return [(f"{at}.mlp.experts.{last.removesuffix('_bias')}.bias", x.flatten())]
        return [(f'{name}.weight', x.transpose(1, 2).flatten(0, 1))]
    of_file = '.block_sparse_moe.experts.' if family == 'mixtral' else of_block
    names = ['w1', 'w3', 'w2'] if family in ('mixtral', 'lfm2_moe') else ['gate_proj', 'up_proj', 'down_proj']
    gate, up, down = [of_file[1:] + own for own in names]
    if last == 'down_proj':
        return [(f'{at}.{down}.weight', x.flatten(0, 1))]
    half = x.shape[1] // 2
    return [(f'{at}.{gate}.weight', x[:, :half].flatten(0, 1)), (f'{at}.{up}.weight', x[:, half:].flatten(0, 1))]


# ---- four-bit blocks (OCP Microscaling Formats 1.0): 32 numbers E2M1 with one scale, a power of two
VALUES = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def pack(x):
    """Converts [experts, out, in] to codes [experts, out, in / 32, 16], scales [experts, out, in / 32], and the values that they represent."""
    blocks = x.reshape(*x.shape[:-1], -1, 32)
    exponent = torch.floor(torch.log2(blocks.abs().amax(-1, keepdim=True).clamp_min(1e-30))) - 2
    codes = (blocks / 2**exponent).unsqueeze(-1).sub(VALUES).abs().argmin(-1)
    stands_for = (VALUES[codes] * 2**exponent).reshape(x.shape)
    packed = (codes[..., 0::2] | (codes[..., 1::2] << 4)).to(torch.uint8)
    return packed, (exponent.squeeze(-1) + 127).to(torch.uint8), stands_for


def as_published(path):
    """Rewrites the file as Qwen publishes it: the experts of a block in two tensors, as in memory, and a layer that predicts further tokens."""
    kept, fused = {}, {}
    for name, values in load_file(path).items():
        at, expert, last = re.match(r'(.*\.experts\.)(\d+)\.(\w+)\.weight$', name).groups() if '.experts.' in name else (None, None, None)
        if at is None:
            kept[name] = values
        else:
            fused.setdefault(at, {}).setdefault(int(expert), {})[last] = values
    for at, experts in fused.items():
        of = [experts[e] for e in sorted(experts)]
        kept[at + 'gate_up_proj'] = torch.stack([torch.cat([own['gate_proj'], own['up_proj']]) for own in of])
        kept[at + 'down_proj'] = torch.stack([own['down_proj'] for own in of])
    save_file({**kept, 'mtp.norm.weight': torch.ones(4)}, path, metadata=dict(format='pt'))


def make(name, model_class, config, seed, tokens, mxfp4=False, published=False):
    if ONLY and name not in ONLY:
        return
    torch.manual_seed(seed)
    model = model_class(config).eval()
    generator = torch.Generator().manual_seed(seed + 1)
    packed = {}
    with torch.no_grad():
        for n, p in model.named_parameters():
            # States that last from chunk to chunk; those of a new model are forgotten within a few tokens.
            if n.endswith('A_log'):
                p.copy_(torch.linspace(-5.0, 0.0, p.numel()))
            p.add_((0.5 if re.search(r'((mlp|mixer)\.(gate|router|shared_expert_gate)|feed_forward\.gate|router\.proj|router\.gate|block_sparse_moe\.router)\.weight', n) else 0.05) * torch.randn(p.shape, generator=generator))
            if mxfp4 and re.search(r'experts\.(gate_up|down)_proj$', n):
                packed[n + '_blocks'], packed[n + '_scales'], stands_for = pack(p.transpose(1, 2))
                p.copy_(stands_for.transpose(1, 2))
        # Biases that are added to the experts' scores for the choice of experts; AFMoE's are parameters that are not trained.
        for n, p in [*model.named_buffers(), *((n, p) for n, p in model.named_parameters() if not p.requires_grad)]:
            if n.endswith(('expert_bias', 'e_score_correction_bias')):
                p.add_(0.3 * torch.randn(p.shape, generator=generator))
    ids = torch.randint(3, config.get_text_config().vocab_size, (2, tokens), generator=torch.Generator().manual_seed(seed + 2))
    seen = torch.ones_like(ids)
    seen[1, tokens - 3:] = 0
    labels = ids.clone()
    labels[1, tokens - 3:] = -100
    labels[0, 1:4] = -100
    folder = os.path.join(OUT, name)
    model.save_pretrained(folder)
    if mxfp4:
        at = os.path.join(folder, 'model.safetensors')
        kept = {n: v for n, v in load_file(at).items() if not re.search(r'experts\.(gate_up|down)_proj$', n)}
        save_file({**kept, **{n: v.contiguous() for n, v in packed.items()}}, at, metadata=dict(format='pt'))
        written = json.load(open(os.path.join(folder, 'config.json')))
        skipped = ['model.layers.*.self_attn', 'model.layers.*.mlp.router', 'model.embed_tokens', 'lm_head']
        json.dump({**written, 'quantization_config': dict(quant_method='mxfp4', modules_to_not_convert=skipped)},
                  open(os.path.join(folder, 'config.json'), 'w'), indent=2)
    if published:
        as_published(os.path.join(folder, 'model.safetensors'))
        model = model_class.from_pretrained(folder, dtype=torch.float32).eval()
    for extra in ('generation_config.json',):
        if os.path.exists(os.path.join(folder, extra)):
            os.remove(os.path.join(folder, extra))
    out = model(input_ids=ids, attention_mask=seen, labels=labels)
    out.loss.backward()
    grads = {ours: dict(shape=list(g.shape), l2=float(f'{g.double().norm().item():.8g}'), first4=numbers(g.flatten()[:4]))
             for n, p in model.named_parameters() if p.grad is not None for ours, g in parts_of(model, n, p.grad)}
    golden = dict(meta=META, model=model_class.__name__, inputs=dict(input_ids=tensor(ids), attention_mask=tensor(seen)), labels=tensor(labels),
                  loss=float(f'{out.loss.item():.8g}'), logits=tensor(out.logits), grads=grads)
    with open(os.path.join(folder, 'golden.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    print(name, golden['loss'], sum(p.numel() for p in model.parameters()))


if __name__ == '__main__':
    small = dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
                 rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False)
    make('mixtral', MixtralForCausalLM, MixtralConfig(**small, intermediate_size=24, num_local_experts=4, num_experts_per_tok=2), 401, 12)
    # One expert per token, windows, and tied embeddings.
    make('mixtral_window', MixtralForCausalLM, MixtralConfig(**{**small, 'tie_word_embeddings': True}, head_dim=12, intermediate_size=20, num_local_experts=3,
         num_experts_per_tok=1, sliding_window=5), 411, 16)
    # More experts than the tokens' choices can reach; a plain block first.
    qwen = dict(head_dim=12, intermediate_size=40, moe_intermediate_size=16, num_experts=8, num_experts_per_tok=3)
    make('qwen3_moe', Qwen3MoeForCausalLM, Qwen3MoeConfig(**{**small, 'num_hidden_layers': 3}, **qwen, norm_topk_prob=True, mlp_only_layers=[0]), 421, 12)
    make('qwen3_moe_step', Qwen3MoeForCausalLM, Qwen3MoeConfig(**{**small, 'num_hidden_layers': 3, 'tie_word_embeddings': True}, **qwen, norm_topk_prob=False,
         decoder_sparse_step=2, attention_bias=True, use_sliding_window=True, sliding_window=5), 431, 16)
    # Sinks, windows in every other block, yarn, a clamp that takes effect; then four-bit experts.
    oss = {**small, 'head_dim': 16, 'intermediate_size': 32, 'num_local_experts': 4, 'num_experts_per_tok': 2}
    make('gpt_oss', GptOssForCausalLM, GptOssConfig(**oss, sliding_window=5, swiglu_limit=0.2, rope_parameters=dict(rope_type='yarn', rope_theta=10000.0,
         factor=4.0, beta_fast=32.0, beta_slow=1.0, truncate=False, original_max_position_embeddings=16), attn_implementation='eager'), 441, 24)
    make('gpt_oss_mxfp4', GptOssForCausalLM, GptOssConfig(**{**oss, 'num_hidden_layers': 1}, sliding_window=32, attn_implementation='eager'), 451, 12, mxfp4=True)
    # Experts in addition to the MLP, routed by the states before the block's norms, each with its own scale.
    make('gemma4_experts', Gemma4ForCausalLM, Gemma4TextConfig(**{**small, 'tie_word_embeddings': True}, intermediate_size=40, head_dim=8, global_head_dim=16,
         num_global_key_value_heads=1, attention_k_eq_v=True, hidden_size_per_layer_input=0, layer_types=['sliding_attention', 'full_attention'],
         sliding_window=5, enable_moe_block=True, num_experts=4, top_k_experts=2, moe_intermediate_size=12, attn_implementation='eager'), 461, 16)
    # Blocks with a state next to blocks with attention, longer than one chunk of 64 tokens, and a shared expert with its own gate.
    delta = dict(**{**small, 'num_hidden_layers': 3, 'max_position_embeddings': 128}, head_dim=16, moe_intermediate_size=16, shared_expert_intermediate_size=20,
                 num_experts=6, num_experts_per_tok=2, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=6,
                 layer_types=['linear_attention', 'full_attention', 'linear_attention'])
    turns = dict(rope_type='default', rope_theta=10000.0, partial_rotary_factor=0.25)
    grids = dict(**turns, mrope_section=[1, 1, 0], mrope_interleaved=True)
    make('qwen3_5_moe', Qwen3_5MoeForCausalLM, Qwen3_5MoeTextConfig(**{**delta, 'tie_word_embeddings': True}, rope_parameters=grids), 471, 72)
    towers = dict(depth=1, hidden_size=16, intermediate_size=16, num_heads=2, patch_size=4, out_hidden_size=32, num_position_embeddings=16)
    make('qwen3_5_moe_images', Qwen3_5MoeForConditionalGeneration, Qwen3_5MoeConfig(text_config={**delta, 'linear_num_value_heads': 2, 'attention_bias': True,
         'rope_parameters': grids}, vision_config=towers, image_token_id=60, video_token_id=61, vision_start_token_id=62, vision_end_token_id=63), 481, 16, published=True)
    # Everything that belongs to a key head in one matrix; a plain block first; weights that do not sum to 1.
    make('qwen3_next', Qwen3NextForCausalLM, Qwen3NextConfig(**delta, intermediate_size=40, rope_parameters=turns, norm_topk_prob=True, mlp_only_layers=[0]), 491, 72)
    make('qwen3_next_step', Qwen3NextForCausalLM, Qwen3NextConfig(**{**delta, 'tie_word_embeddings': True, 'linear_num_value_heads': 2, 'attention_bias': True,
         'linear_value_head_dim': 8}, intermediate_size=40, rope_parameters=turns, norm_topk_prob=False, decoder_sparse_step=2), 501, 16)
    # Experts that are chosen by sigmoids with a bias: after convolutions and attention, a plain block first; then in two of four groups,
    # next to an expert that computes every token, with weights that sum to 1.5.
    make('lfm2_moe', Lfm2MoeForCausalLM, Lfm2MoeConfig(**{k: v for k, v in small.items() if k not in ('rms_norm_eps', 'num_hidden_layers', 'tie_word_embeddings')},
         num_hidden_layers=3, intermediate_size=40, moe_intermediate_size=16, num_experts=6,
         num_experts_per_tok=2, num_dense_layers=1, layer_types=['conv', 'full_attention', 'conv']), 511, 12)
    make('glm4_moe', Glm4MoeForCausalLM, Glm4MoeConfig(**{**small, 'num_hidden_layers': 3}, head_dim=16, intermediate_size=40, moe_intermediate_size=16,
         n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2, n_group=4, topk_group=2, first_k_dense_replace=1, routed_scaling_factor=1.5,
         attention_bias=True, use_qk_norm=True), 521, 12)
    # Keys and values from one latent vector: heads with narrower values, queries from a latent vector with biases, yarn that scales the
    # scores, two of four groups of experts; then heads with wider values, queries from the states, and rotation in halves.
    latent = {**{k: v for k, v in small.items() if k != 'num_key_value_heads'}, 'num_key_value_heads': 4, 'kv_lora_rank': 12, 'intermediate_size': 40, 'moe_intermediate_size': 16}
    make('deepseek_v3', DeepseekV3ForCausalLM, DeepseekV3Config(**latent, q_lora_rank=20, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=6, n_routed_experts=8,
         num_experts_per_tok=3, n_shared_experts=1, n_group=4, topk_group=2, first_k_dense_replace=1, routed_scaling_factor=1.5, attention_bias=True,
         rope_parameters=dict(rope_type='yarn', rope_theta=10000.0, factor=4.0, beta_fast=32.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=0.7,
                              original_max_position_embeddings=16)), 551, 24)
    # Experts that a softmax over all scores, and whose weights do not sum to 1; queries from the states, as in DeepSeek-V2-Lite.
    make('deepseek_v2', DeepseekV2ForCausalLM, DeepseekV2Config(**latent, q_lora_rank=None, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=6, n_routed_experts=8,
         num_experts_per_tok=3, n_shared_experts=2, first_k_dense_replace=1, routed_scaling_factor=1.5, rope_parameters=dict(rope_type='yarn', rope_theta=10000.0,
         factor=4.0, beta_fast=32.0, beta_slow=1.0, mscale=0.707, mscale_all_dim=0.707, original_max_position_embeddings=16)), 661, 24)
    make('glm4_moe_lite', Glm4MoeLiteForCausalLM, Glm4MoeLiteConfig(**{**latent, 'tie_word_embeddings': True}, q_lora_rank=None, qk_nope_head_dim=6, qk_rope_head_dim=8,
         v_head_dim=16, n_routed_experts=6, num_experts_per_tok=2, n_shared_experts=2, mlp_layer_types=['sparse', 'dense'], rope_interleave=False), 561, 12)
    # Queries that grow beyond the original length of yarn, and experts that a softmax scores.
    make('mistral4', Mistral4ForCausalLM, Mistral4Config(**latent, q_lora_rank=20, qk_nope_head_dim=12, qk_rope_head_dim=4, v_head_dim=6, n_routed_experts=8,
         num_experts_per_tok=3, n_group=4, topk_group=2, first_k_dense_replace=1, routed_scaling_factor=1.5, rope_parameters=dict(rope_type='yarn', rope_theta=10000.0,
         factor=4.0, beta_fast=32.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=0.7, original_max_position_embeddings=16, llama_4_scaling_beta=0.2)), 601, 24)
    # Experts that a softmax scores, with a bias, after a plain block, next to two that compute every token.
    make('ernie4_5_moe', Ernie4_5_MoeForCausalLM, Ernie4_5_MoeConfig(**{**small, 'num_hidden_layers': 3, 'tie_word_embeddings': True}, intermediate_size=40,
         moe_intermediate_size=16, moe_num_experts=6, moe_k=2, moe_num_shared_experts=2), 611, 12)
    # Gates on every feature of attention, norms before and after all parts, windows in the blocks that rotate, scaled embeddings, and experts that
    # sigmoids with a bias choose, after a plain block, next to two that compute every token.
    make('afmoe', AfmoeForCausalLM, AfmoeConfig(**{**small, 'num_hidden_layers': 3}, head_dim=12, intermediate_size=40, moe_intermediate_size=16, num_experts=6,
         num_experts_per_tok=2, num_shared_experts=2, num_dense_layers=1, route_scale=1.7, sliding_window=5, mup_enabled=True,
         layer_types=['sliding_attention', 'full_attention', 'sliding_attention']), 661, 16)
    # Biases, embeddings as they are, which are the head too, and experts in all blocks.
    make('afmoe_tied', AfmoeForCausalLM, AfmoeConfig(**{**small, 'tie_word_embeddings': True}, head_dim=8, intermediate_size=40, moe_intermediate_size=16, num_experts=4,
         num_experts_per_tok=1, num_shared_experts=1, num_dense_layers=0, global_attn_every_n_layers=2, attention_bias=True), 671, 12)
    # Blocks with windows and without, each kind with positions of its own, and a plain block first.
    make('mellum', MellumForCausalLM, MellumConfig(**{**small, 'num_hidden_layers': 3}, **qwen, sliding_window=5, layer_types=['sliding_attention', 'full_attention', 'sliding_attention'],
         mlp_layer_types=['dense', 'sparse', 'sparse'], rope_parameters=dict(sliding_attention=dict(rope_type='default', rope_theta=500.0),
         full_attention=dict(rope_type='yarn', rope_theta=10000.0, factor=4.0, beta_fast=32.0, beta_slow=1.0, original_max_position_embeddings=16))), 681, 24)
    # Weights that do not sum to 1, and norms over all queries, or keys, together.
    make('olmoe', OlmoeForCausalLM, OlmoeConfig(**small, intermediate_size=16, num_experts=6, num_experts_per_tok=2), 531, 12)
    # Mamba-2, and an MLP for every token next to the experts.
    make('granite4_experts', GraniteMoeHybridForCausalLM, GraniteMoeHybridConfig(**{**small, 'tie_word_embeddings': True}, intermediate_size=16, shared_intermediate_size=20,
         num_local_experts=4, num_experts_per_tok=2, layer_types=['mamba', 'attention'], mamba_n_heads=4, mamba_d_state=6, mamba_chunk_size=8, embedding_multiplier=12.0,
         logits_scaling=8.0, residual_multiplier=0.22, attention_multiplier=0.3), 541, 12)
    # Granite 3; Qwen 2 with a gated shared expert, windows and a plain block; Cohere 2 with a plain block that turns though it sees everything,
    # and half of the sum with shared experts.
    make('granitemoe', GraniteMoeForCausalLM, GraniteMoeConfig(**{**small, 'tie_word_embeddings': True}, intermediate_size=16, num_local_experts=4, num_experts_per_tok=2,
         embedding_multiplier=12.0, logits_scaling=8.0, residual_multiplier=0.22, attention_multiplier=0.3), 601, 12)
    # With sinks, windows and a base for each block, and an MLP for every token.
    make('granitemoe_swa', GraniteMoeSWAForCausalLM, GraniteMoeSWAConfig(**{**small, 'num_hidden_layers': 3, 'tie_word_embeddings': True}, intermediate_size=16,
         shared_intermediate_size=20, num_local_experts=4, num_experts_per_tok=2, embedding_multiplier=12.0, logits_scaling=8.0, residual_multiplier=0.22,
         attention_multiplier=0.3, sliding_window=5, layer_rope_theta=[0, 10000.0, 500.0]), 651, 16)
    make('qwen2_moe', Qwen2MoeForCausalLM, Qwen2MoeConfig(**{**small, 'num_hidden_layers': 3}, intermediate_size=40, moe_intermediate_size=16, shared_expert_intermediate_size=20,
         num_experts=8, num_experts_per_tok=3, mlp_only_layers=[1], use_sliding_window=True, sliding_window=5, max_window_layers=2), 611, 16)
    cohere = {k: v for k, v in small.items() if k != 'rms_norm_eps'}
    make('cohere2_moe', Cohere2MoeForCausalLM, Cohere2MoeConfig(**{**cohere, 'num_hidden_layers': 3, 'tie_word_embeddings': True}, head_dim=8, intermediate_size=16,
         layer_types=['full_attention', 'sliding_attention', 'full_attention'], mlp_layer_types=['dense', 'sparse', 'sparse'], prefix_dense_intermediate_size=40, sliding_window=5,
         num_experts=4, num_experts_per_tok=2, num_shared_experts=2, expert_selection_fn='sigmoid', logit_scale=0.4), 621, 16)
    # One part a block: Mamba-2 with steps of time that many are raised to, experts without gates in two of four groups that compute a shorter vector,
    # attention without positions.
    nemotron = {k: v for k, v in small.items() if k not in ('num_hidden_layers', 'rms_norm_eps')}
    make('nemotron_h_experts', NemotronHForCausalLM, NemotronHConfig(**nemotron, layers_block_type=['linear_attention', 'moe', 'full_attention'], head_dim=8, mamba_num_heads=4,
         mamba_head_dim=8, n_groups=1, ssm_state_size=6, chunk_size=8, time_step_min=0.02, n_routed_experts=8, num_experts_per_tok=3, n_group=4, topk_group=2,
         moe_intermediate_size=16, moe_shared_expert_intermediate_size=20, routed_scaling_factor=2.5, moe_latent_size=12), 571, 12)
    # Blocks with windows rotate; a plain MLP comes first, as in the published models.
    make('flint', FlintForCausalLM, FlintConfig(**{**small, 'num_hidden_layers': 3}, head_dim=12, intermediate_size=40, moe_intermediate_size=16, shared_expert_intermediate_size=20,
         num_experts=8, num_experts_per_tok=3, mlp_only_layers=[0], layer_types=['full_attention', 'sliding_attention', 'full_attention'], sliding_window=5), 631, 16)
    make('kolibri1', Kolibri1ForCausalLM, Kolibri1Config(**{**small, 'num_hidden_layers': 3}, head_dim=12, moe_intermediate_size=16, shared_expert_intermediate_size=20,
         num_experts=8, num_experts_per_tok=3, norm_topk_prob=True, layer_types=['sliding_attention', 'full_attention', 'sliding_attention'], sliding_window=5), 641, 16)
