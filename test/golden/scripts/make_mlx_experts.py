"""The golden folders qwen3_moe_mlx, mixtral_mlx, gpt_oss_mlx (experts in MXFP4, other layers affine), qwen3_next_mlx, qwen3_5_mlx, lfm2_mlx (with
convolutions and norms that mlx-lm changes), nemotron_h_mlx, lfm2_moe_mlx, granite4_mlx, granite4_experts_mlx, olmo_hybrid_mlx (without codes) and
deepseek_v3_mlx: mixtures of experts and models with states as mlx-lm converts them from the folders that Transformers writes. mlx-lm 0.32.2 stacks the experts, quantizes and saves (MLX 0.32.4 on a processor); Transformers computes with the
values that MLX dequantizes, in float32, and MLX's own logits agree. Deterministic (fixed seeds, 1 thread). Needs mlx[cpu] and mlx-lm.
run: OMP_NUM_THREADS=1 python make_mlx_experts.py [folder [name of a golden folder…]]"""
import copy, json, os, re, sys, tempfile
os.environ['HF_HUB_OFFLINE'] = '1'
from pathlib import Path
import mlx.core as mx, numpy as np, torch, transformers
from importlib.metadata import version
from as_json import numbers, seeded, tensor
from mlx_lm.utils import load_model, quantize_model, save_config, save_model
from make_expert_families import as_published as stacked, pack, parts_of
from mlx.utils import tree_flatten
from safetensors.torch import load_file, save_file
from transformers import (DeepseekV3Config, DeepseekV3ForCausalLM, GptOssConfig, GptOssForCausalLM, GraniteMoeHybridConfig, GraniteMoeHybridForCausalLM, Lfm2Config, Lfm2ForCausalLM,
                          Lfm2MoeConfig, Lfm2MoeForCausalLM, MixtralConfig, MixtralForCausalLM, NemotronHConfig, NemotronHForCausalLM, OlmoHybridConfig, OlmoHybridForCausalLM,
                          Qwen3MoeConfig, Qwen3MoeForCausalLM, Qwen3NextConfig, Qwen3NextForCausalLM, Qwen3_5ForCausalLM, Qwen3_5TextConfig)

torch.set_num_threads(1)
mx.set_default_device(mx.cpu)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
ONLY = sys.argv[2:]
TOKENS = 12
LFM2 = dict(w1='gate_proj', w2='down_proj', w3='up_proj')
as_torch = lambda a: torch.from_numpy(np.array(a.astype(mx.float32)))


def plain_values(model):
    """The values of all parameters of a quantized model of MLX, by name."""
    values = {}
    for name, module in model.named_modules():
        if not hasattr(module, 'scales'):
            continue
        kinds = [getattr(module, kind) for kind in ('weight', 'scales', 'biases') if getattr(module, kind, None) is not None]
        values[f'{name}.weight'] = mx.dequantize(*kinds, group_size=module.group_size, bits=module.bits, mode=getattr(module, 'mode', 'affine'))
    own = {n: v for n, v in tree_flatten(model.parameters()) if not n.endswith(('.scales', '.biases'))}
    return {n.removeprefix('language_model.'): as_torch(values.get(n, v)) for n, v in own.items()}


def in_memory(name, p, values):
    """The value of a parameter of Transformers 5, which has gate and up of all experts in one, and DeepSeek's keys and values."""
    family = model_of.config.model_type
    if family == 'nemotron_h':
        name = name.replace('model.', 'backbone.', 1)
        if '.mixer.experts.' in name:
            return values[name.replace('experts.up_proj', 'switch_mlp.fc1.weight').replace('experts.down_proj', 'switch_mlp.fc2.weight')]
    if name in values:
        return values[name]
    joined = lambda at: [values[f'{at}.{part}_proj.weight'] for part in ('gate', 'up')]
    if family == 'lfm2_moe':
        at, _, last = name.rpartition('.')[0].rpartition('.')
        if last in LFM2:
            return values[f'{at}.{LFM2[last]}.weight']
        at = name.replace('.experts.', '.switch_mlp.').rpartition('.')[0]
        return values[f'{at}.down_proj.weight'] if name.endswith('down_proj') else torch.cat(joined(at), 1)
    if family == 'granitemoehybrid':
        at, _, last = name.partition('.shared_mlp.')
        if last:
            return torch.cat(joined(f'{at}.mlp'), 0) if last.startswith('input') else values[f'{at}.mlp.down_proj.weight']
        if '.router.' in name:
            return values[name.replace('.router.', '.router.layer.')]
        at = name.replace('.experts.', '.switch_mlp.').rpartition('.')[0]
        return values[f'{at}.down_proj.weight'] if name.endswith('down_proj') else torch.cat(joined(at), 1)
    if family == 'olmo_hybrid':
        at = name.removesuffix('conv1d.weight')
        return torch.cat([values[f'{at}{part}_conv1d.weight'] for part in 'qkv'])
    if name.endswith('.kv_b_proj.weight'):
        at = name.removesuffix('.kv_b_proj.weight')
        keys, own = values[f'{at}.embed_q.weight'].transpose(1, 2), values[f'{at}.unembed_out.weight']
        return torch.cat([keys, own], 1).flatten(0, 1)
    at, _, last = name.partition('.mlp.experts.')
    if not last:
        return values[name.replace('.mlp.gate.', '.block_sparse_moe.gate.')]
    places = [f'{at}.{place}' for place in ('mlp.switch_mlp', 'block_sparse_moe.switch_mlp', 'mlp.experts')]
    place = next(place for place in places if f'{place}.down_proj.weight' in values)
    kind = 'bias' if last.endswith('_bias') else 'weight'
    own = {part: values[f'{place}.{part}.{kind}'] for part in ('gate_proj', 'up_proj', 'down_proj')}
    oss = 'gpt' in type(model_of).__name__.lower()
    if last.startswith('down'):
        whole = own['down_proj']
    elif oss:
        whole = torch.stack([own['gate_proj'], own['up_proj']], 2).flatten(1, 2)
    else:
        whole = torch.cat([own['gate_proj'], own['up_proj']], 1)
    return whole.transpose(1, 2) if oss and kind == 'weight' else whole


def as_published(folder):
    """Rewrites a folder as those that mlx-lm converts: older keys of the config, and gpt-oss's experts as blocks."""
    written = json.load(open(folder / 'config.json'))
    # The limits are infinite, which mlx-lm does not read as Transformers writes it.
    written.pop('time_step_limit', None)
    rope = written.pop('rope_parameters', None) or dict(rope_type='default', rope_theta=10000.0)
    published = {**written, 'rope_theta': rope['rope_theta'], 'rope_scaling': None if rope['rope_type'] == 'default' else rope,
                 **{key: rope[key] for key in rope if key == 'partial_rotary_factor'}}
    if written['model_type'] in ('qwen3_moe', 'qwen3_next'):
        published['num_experts'] = published.pop('num_local_experts', written.get('num_experts'))
    if written['model_type'] == 'gpt_oss':
        at = folder / 'model.safetensors'
        tensors = {}
        for n, v in load_file(at).items():
            if re.search(r'experts\.(gate_up|down)_proj$', n):
                tensors[f'{n}_blocks'], tensors[f'{n}_scales'], _ = pack(v.float().transpose(1, 2))
            else:
                tensors[n] = v
        save_file({n: v.contiguous() for n, v in tensors.items()}, at, metadata=dict(format='pt'))
        published['quantization_config'] = dict(quant_method='mxfp4', modules_to_not_convert=[])
    if written['model_type'] == 'olmo_hybrid':
        renamed = lambda n: n.replace('attention_layer_norm', 'input_layernorm').replace('feedforward_layer_norm', 'post_attention_layernorm')
        save_file({renamed(n): v for n, v in load_file(folder / 'model.safetensors').items()}, folder / 'model.safetensors', metadata=dict(format='pt'))
    if written['model_type'] == 'granitemoehybrid':
        published['layer_types'] = [dict(linear_attention='mamba', full_attention='attention')[kind] for kind in written['layer_types']]
    if written['model_type'] == 'lfm2':
        published.update(block_dim=written['hidden_size'], conv_dim=written['hidden_size'])
    if written['model_type'].startswith('qwen3_5_moe'):
        stacked(folder / 'model.safetensors')
    if written['model_type'].startswith('qwen3_5'):
        text = {**published, 'rope_parameters': rope}
        kind = written['architectures'][0].replace('ForCausalLM', 'ForConditionalGeneration')
        published = dict(model_type=written['model_type'].removesuffix('_text'), architectures=[kind], tie_word_embeddings=False, text_config=text)
    json.dump(published, open(folder / 'config.json', 'w'))


def make(name, model_class, config, seed, predicate=None, **how):
    global model_of
    if ONLY and name not in ONLY:
        return
    torch.manual_seed(seed)
    model = model_of = model_class(config).eval()
    generator = seeded(seed + 1)
    with torch.no_grad():
        for n, p in model.named_parameters():
            p.add_((0.5 if re.search(r'mlp\.(gate|router)\.weight', n) else 0.05) * torch.randn(p.shape, generator=generator))
            p.copy_(p.to(torch.bfloat16))
        for n, p in model.named_buffers():
            if n.endswith(('e_score_correction_bias', 'expert_bias')):
                p.add_(0.3 * torch.randn(p.shape, generator=generator))
                # In groups that are not chosen, experts score 0 in MLX and minus infinity in Transformers, so a negative score elsewhere would lose to them.
                # The biases of published models are positive.
                if config.model_type == 'deepseek_v3':
                    p.add_(1)
    folder = Path(OUT) / name
    with tempfile.TemporaryDirectory() as temporary:
        # A copy, since the frequencies of positions would be rounded, too.
        copy.deepcopy(model).to(torch.bfloat16).save_pretrained(temporary)
        as_published(Path(temporary))
        converted, settings = load_model(Path(temporary), lazy=False)
        plain, _ = load_model(Path(temporary), lazy=False)
    if how:
        converted, settings = quantize_model(converted, settings, **how, quant_predicate=predicate or getattr(converted, 'quant_predicate', None))
    folder.mkdir(exist_ok=True)
    save_model(folder, converted)
    save_config(settings, folder / 'config.json')
    (folder / 'model.safetensors.index.json').unlink(missing_ok=True)
    values = plain_values(converted)
    with torch.no_grad():
        for n, p in model.named_parameters():
            found = in_memory(n, p, values)
            if n.endswith(('conv1d.weight', '.conv.weight')) and found.shape != p.shape:
                found = found.transpose(1, 2)
            if model.config.model_type.startswith(('qwen3_next', 'qwen3_5')) and re.search(r'(layernorm|[qk]_norm|^model\.norm)\.weight$', n):
                found = found - 1
            assert found.shape == p.shape and (found - p).abs().max() < 0.4, (n, found.shape, p.shape)
            p.copy_(found)
        for n, p in model.named_buffers():
            if n in values:
                p.copy_(values[n])
    ids = torch.randint(3, config.vocab_size, (2, TOKENS), generator=seeded(seed + 2))
    seen = torch.ones_like(ids)
    seen[1, TOKENS - 3:] = 0
    labels = ids.masked_fill(seen == 0, -100)
    out = model(input_ids=ids, attention_mask=seen, labels=labels)
    # MLX computes with the same values, unless some stay codes; in float32, it does not round those that it dequantizes.
    stays_coded = any(hasattr(module, 'scales') for _, module in plain.named_modules())
    if stays_coded:
        plain = converted
    else:
        plain.load_weights([(n, mx.array(values[n.removeprefix('language_model.')].numpy())) for n, _ in tree_flatten(plain.parameters())])
    plain.set_dtype(mx.float32)
    theirs = as_torch(plain(mx.array(ids.numpy())))
    difference = float((theirs[0] - out.logits[0]).abs().max().detach())
    print(name, 'largest difference from MLX:', difference, 'of', float(out.logits.abs().max().detach()))
    assert difference < (0.05 if stays_coded else 1e-5), name
    out.loss.backward()
    grads = {ours: dict(shape=list(g.shape), l2=float(f'{g.double().norm().item():.8g}'), first4=numbers(g.flatten()[:4]))
             for n, p in model.named_parameters() if p.grad is not None for ours, g in parts_of(model, n, p.grad)}
    if model.config.model_type.startswith('qwen3_5'):
        grads = {ours.replace('model.', 'model.language_model.', 1): found for ours, found in grads.items()}
    golden = dict(meta=dict(torch=torch.__version__, transformers=transformers.__version__, mlx=version('mlx'), mlx_lm=version('mlx-lm')),
                  model=model_class.__name__, inputs=dict(input_ids=tensor(ids), attention_mask=tensor(seen)), labels=tensor(labels),
                  loss=float(f'{out.loss.item():.8g}'), logits=tensor(out.logits), grads=grads)
    with open(folder / 'golden.json', 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    print(name, golden['loss'])


small = dict(vocab_size=64, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
             rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=False)
make('qwen3_moe_mlx', Qwen3MoeForCausalLM, Qwen3MoeConfig(**small, head_dim=16, intermediate_size=64, moe_intermediate_size=32, num_experts=4,
     num_experts_per_tok=2, decoder_sparse_step=1), 881, group_size=32, bits=4)
make('mixtral_mlx', MixtralForCausalLM, MixtralConfig(**small, intermediate_size=64, num_local_experts=4, num_experts_per_tok=2), 885, group_size=64, bits=3)
make('gpt_oss_mlx', GptOssForCausalLM, GptOssConfig(**{**small, 'num_hidden_layers': 2}, head_dim=16, intermediate_size=64, num_local_experts=4, num_experts_per_tok=2, sliding_window=8),
     889, group_size=32, bits=8)
make('qwen3_next_mlx', Qwen3NextForCausalLM, Qwen3NextConfig(**{**small, 'num_hidden_layers': 2}, head_dim=16, intermediate_size=64, moe_intermediate_size=32,
     shared_expert_intermediate_size=32, num_experts=4, num_experts_per_tok=2, decoder_sparse_step=1, linear_num_key_heads=2, linear_num_value_heads=4,
     linear_key_head_dim=16, linear_value_head_dim=16, linear_conv_kernel_dim=4, layer_types=['linear_attention', 'full_attention'], full_attention_interval=2), 897, group_size=32, bits=4)
make('qwen3_5_mlx', Qwen3_5ForCausalLM, Qwen3_5TextConfig(**{**small, 'num_hidden_layers': 2}, head_dim=16, intermediate_size=64, linear_num_key_heads=2,
     linear_num_value_heads=4, linear_key_head_dim=16, linear_value_head_dim=16, linear_conv_kernel_dim=4, layer_types=['linear_attention', 'full_attention'],
     full_attention_interval=2), 905, group_size=32, bits=4)
make('lfm2_mlx', Lfm2ForCausalLM, Lfm2Config(**{**small, 'num_hidden_layers': 2, 'tie_word_embeddings': True}, intermediate_size=64, block_auto_adjust_ff_dim=False,
     conv_L_cache=3, norm_eps=1e-5, layer_types=['conv', 'full_attention']), 899, group_size=32, bits=4)
make('deepseek_v3_mlx', DeepseekV3ForCausalLM, DeepseekV3Config(**{**small, 'num_hidden_layers': 2, 'num_key_value_heads': 4}, intermediate_size=64, moe_intermediate_size=32,
     n_routed_experts=4, n_shared_experts=1, num_experts_per_tok=2, n_group=2, topk_group=1, first_k_dense_replace=1, q_lora_rank=32, kv_lora_rank=32,
     qk_nope_head_dim=32, qk_rope_head_dim=16, v_head_dim=32, routed_scaling_factor=1.5, norm_topk_prob=True), 893, group_size=32, bits=4)
# Time steps of the untrained layers are within mlx-lm's limits, whatever they are.
hybrid = dict(mamba_n_heads=4, mamba_d_head=32, mamba_d_state=16, mamba_chunk_size=8, embedding_multiplier=12.0, logits_scaling=8.0, residual_multiplier=0.22, attention_multiplier=0.3)
make('granite4_mlx', GraniteMoeHybridForCausalLM, GraniteMoeHybridConfig(**{**small, 'num_hidden_layers': 2, 'tie_word_embeddings': True}, **hybrid, intermediate_size=64,
     shared_intermediate_size=64, num_local_experts=0, layer_types=['mamba', 'attention'], position_embedding_type='nope'), 909, group_size=32, bits=4)
make('granite4_experts_mlx', GraniteMoeHybridForCausalLM, GraniteMoeHybridConfig(**{**small, 'num_hidden_layers': 2, 'tie_word_embeddings': True}, **hybrid, intermediate_size=32,
     shared_intermediate_size=64, num_local_experts=4, num_experts_per_tok=2, layer_types=['mamba', 'attention'], position_embedding_type='rope'), 913, group_size=32, bits=4)
nemotron = {k: v for k, v in small.items() if k not in ('num_hidden_layers', 'rms_norm_eps')}
make('nemotron_h_mlx', NemotronHForCausalLM, NemotronHConfig(**nemotron, layers_block_type=['linear_attention', 'moe', 'full_attention', 'mlp'], head_dim=16, intermediate_size=64,
     mamba_num_heads=4, mamba_head_dim=16, n_groups=2, ssm_state_size=16, chunk_size=8, n_routed_experts=4, num_experts_per_tok=2, n_group=1, topk_group=1,
     moe_intermediate_size=32, moe_shared_expert_intermediate_size=32), 917, group_size=32, bits=4)
make('lfm2_moe_mlx', Lfm2MoeForCausalLM, Lfm2MoeConfig(**{k: v for k, v in small.items() if k not in ('rms_norm_eps', 'num_hidden_layers', 'tie_word_embeddings')}, norm_eps=1e-5,
     num_hidden_layers=2, intermediate_size=64, moe_intermediate_size=32, num_dense_layers=1, num_experts=4, num_experts_per_tok=2, conv_L_cache=3,
     layer_types=['conv', 'full_attention']), 921, group_size=32, bits=4)
make('olmo_hybrid_mlx', OlmoHybridForCausalLM, OlmoHybridConfig(**{**small, 'num_hidden_layers': 2, 'hidden_size': 32}, intermediate_size=32, linear_num_key_heads=2,
     linear_num_value_heads=2, linear_key_head_dim=8, linear_value_head_dim=8, layer_types=['linear_attention', 'full_attention'], rope_theta=10000.0), 925)
