"""Whole GGUF files of mixtures of experts and of Ministral 3, as llama.cpp's converter stores the golden folders next to this one: names by gguf's
own maps, experts stacked, gate and up of gpt-oss separate, its four-bit blocks in ggml's order, rows of q and k interleaved as by the converter.

The first block of qwen3_moe has no experts, which llama.cpp does not support, so it is omitted; the limit of gpt_oss's gates is 7, as in all of
llama.cpp. Transformers' loss and logits of these two (float32) are in their .json. The golden.json of the others is valid for their GGUF files, too.
Made with gguf 0.19.0 and transformers 5.24.0.   run: OMP_NUM_THREADS=1 python make_gguf_families.py"""
import json, os, re, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import gguf, numpy as np, torch
from gguf import GGMLQuantizationType as T, MODEL_ARCH
from safetensors.numpy import load_file
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_num_threads(1)
here = os.path.dirname(os.path.abspath(__file__))
INTERLEAVED = ('llama', 'mistral3')


def permute(w, heads):  # convert_hf_to_gguf.py, LlamaModel.permute
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def ggml_nibbles(blocks):
    """Converts values 2i and 2i + 1 in byte i to values i and i + 16."""
    values = np.stack((blocks & 15, blocks >> 4), axis=-1).reshape(*blocks.shape[:-1], 32)
    return values[..., :16] | (values[..., 16:] << 4)


def stacked(weights, config):
    """Returns tensors under the Hugging Face names in gguf's maps; four-bit tensors as (blocks, scales)."""
    out, apart = {}, {}
    for name, x in weights.items():
        one = re.fullmatch(r'(model\.layers\.\d+)\.(?:block_sparse_moe|mlp)\.experts\.(\d+)\.(\w+)\.weight', name)
        if one:
            at, expert, part = one.groups()
            merged = f'layers.{at.split(".")[2]}.feed_forward.experts.{part}.weight' if part.startswith('w') else f'{at}.mlp.experts.{part}.weight'
            apart.setdefault(merged, {})[int(expert)] = x
        elif name.endswith('_blocks'):
            at, scales = name.removesuffix('_blocks'), weights[name.replace('_blocks', '_scales')]
            parts = [('gate_proj', np.s_[:, 0::2]), ('up_proj', np.s_[:, 1::2])] if 'gate_up' in name else [('down_proj', np.s_[:])]
            for part, rows in parts:
                out[re.sub(r'(gate_up|down)_proj$', part, at) + '.weight'] = (ggml_nibbles(x[rows]), scales[rows])
        elif 'mlp.experts.' in name and name.endswith(('gate_up_proj', 'gate_up_proj_bias', 'down_proj', 'down_proj_bias')):
            kind = 'bias' if name.endswith('_bias') else 'weight'
            x = x if kind == 'bias' else x.swapaxes(1, 2)
            at = name.removesuffix('_bias')
            parts = [('gate_proj', np.s_[:, 0::2]), ('up_proj', np.s_[:, 1::2])] if 'gate_up' in name else [('down_proj', np.s_[:])]
            for part, rows in parts:
                out[f"{re.sub(r'(gate_up|down)_proj$', part, at)}.{kind}"] = x[rows]
        elif not name.endswith('_scales'):
            out[name + '.weight' if name.endswith('sinks') else name] = x
    for name, experts in apart.items():
        out[name] = np.stack([experts[i] for i in range(len(experts))])
    return out


def without_first_block(weights):
    moved = {}
    for name, x in weights.items():
        block = re.match(r'model\.layers\.(\d+)\.', name)
        if block is None:
            moved[name] = x
        elif int(block[1]) > 0:
            moved[name.replace(f'layers.{block[1]}.', f'layers.{int(block[1]) - 1}.', 1)] = x
    return moved


def write_golden(folder, config, weights, golden):
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config), attn_implementation='eager').eval()
    state = {n: torch.from_numpy(x) for n, x in weights.items()}
    if folder == 'qwen3_moe':  # as Transformers 5 computes it: gate and up of all experts in one tensor
        experts = stacked(weights, config)
        state = {n: x for n, x in state.items() if '.experts.' not in n}
        for layer in range(config['num_hidden_layers']):
            at = f'model.layers.{layer}.mlp.experts'
            state[f'{at}.gate_up_proj'] = torch.from_numpy(np.concatenate((experts[f'{at}.gate_proj.weight'], experts[f'{at}.up_proj.weight']), axis=1))
            state[f'{at}.down_proj'] = torch.from_numpy(experts[f'{at}.down_proj.weight'])
    model.load_state_dict(state, strict=True)
    given = {n: torch.tensor(x['data']).view(x['shape']) for n, x in (*golden['inputs'].items(), ('labels', golden['labels']))}
    with torch.no_grad():
        found = model(**given)
    data = [float(f'{v:.7g}') for v in found.logits.flatten().tolist()]
    own = dict(model=folder, inputs=golden['inputs'], labels=golden['labels'], loss=found.loss.item(),
               logits=dict(shape=list(found.logits.shape), data=data), grads={})
    with open(f'{here}/{folder}.json', 'w') as file:
        json.dump(own, file)
        file.write('\n')


def write(folder, arch):
    config = json.load(open(f'{here}/../{folder}/config.json'))
    weights = load_file(f'{here}/../{folder}/model.safetensors')
    golden = json.load(open(f'{here}/../{folder}/golden.json'))
    if folder == 'qwen3_moe':
        weights, config = without_first_block(weights), {**config, 'num_hidden_layers': config['num_hidden_layers'] - 1, 'mlp_only_layers': []}
    if folder == 'gpt_oss':
        config = {**config, 'swiglu_limit': 7.0}
    if folder in ('qwen3_moe', 'gpt_oss'):
        write_golden(folder, config, weights, golden)
    w = gguf.GGUFWriter(f'{here}/{folder}.gguf', gguf.MODEL_ARCH_NAMES[arch])
    heads, kv_heads = config['num_attention_heads'], config['num_key_value_heads']
    w.add_vocab_size(config['vocab_size']); w.add_context_length(config['max_position_embeddings']); w.add_embedding_length(config['hidden_size'])
    w.add_block_count(config['num_hidden_layers']); w.add_feed_forward_length(config['intermediate_size'])
    w.add_bos_token_id(config['bos_token_id']); w.add_eos_token_id(config['eos_token_id']); w.add_pad_token_id(config['pad_token_id'])
    w.add_head_count(heads); w.add_head_count_kv(kv_heads); w.add_layer_norm_rms_eps(config['rms_norm_eps'])
    if config.get('head_dim'):
        w.add_key_length(config['head_dim']); w.add_value_length(config['head_dim'])
    else:
        w.add_rope_dimension_count(config['hidden_size'] // heads)
    rope = config['rope_parameters']
    w.add_rope_freq_base(rope['rope_theta'])
    if rope['rope_type'] == 'yarn':
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN); w.add_rope_scaling_factor(rope['factor'])
        w.add_rope_scaling_orig_ctx_len(rope['original_max_position_embeddings'])
        if 'beta_fast' in rope:
            w.add_rope_scaling_yarn_beta_fast(rope['beta_fast']); w.add_rope_scaling_yarn_beta_slow(rope['beta_slow'])
    if arch == MODEL_ARCH.MISTRAL3:
        w.add_rope_scaling_yarn_log_mul(rope['mscale_all_dim']); w.add_attn_temperature_scale(rope['llama_4_scaling_beta'])
    if arch == MODEL_ARCH.GPT_OSS:
        w.add_sliding_window(config['sliding_window']); w.add_expert_feed_forward_length(config['intermediate_size'])
    if arch == MODEL_ARCH.QWEN3MOE:
        w.add_expert_feed_forward_length(config['moe_intermediate_size'])
    count = config.get('num_local_experts') or config.get('num_experts')
    if count:
        w.add_expert_count(count); w.add_expert_used_count(config['num_experts_per_tok'])
    names = gguf.get_tensor_name_map(arch, config['num_hidden_layers'])
    for name, x in stacked(weights, config).items():
        stored = names.get_name(name, try_suffixes=('.weight', '.bias'))
        if isinstance(x, tuple):
            blocks, scales = x
            packed = np.concatenate((scales[..., None], blocks), axis=-1)
            w.add_tensor(stored, packed, raw_shape=[*packed.shape[:2], packed.shape[2] * packed.shape[3]], raw_dtype=T.MXFP4)
            continue
        kind = re.search(r'\.attn_([qk])\.', stored)
        if kind and w.arch in INTERLEAVED:
            x = permute(x, heads if kind[1] == 'q' else kv_heads)
        w.add_tensor(stored, np.ascontiguousarray(x.astype(np.float32)))
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


for folder, arch in dict(mixtral=MODEL_ARCH.LLAMA, qwen3_moe=MODEL_ARCH.QWEN3MOE, gpt_oss=MODEL_ARCH.GPT_OSS, gpt_oss_mxfp4=MODEL_ARCH.GPT_OSS,
                         ministral3=MODEL_ARCH.MISTRAL3).items():
    write(folder, arch)
