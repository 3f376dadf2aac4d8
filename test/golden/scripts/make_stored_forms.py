"""The golden folders qwen3_compressed and qwen3_compressed_mx (each linear layer in another form of compressed-tensors), qwen3_gptq, qwen3_gptq3 (in 3 bits) and qwen3_awq. The libraries themselves pack and
dequantize (compressed-tensors 0.20.1; GPTQModel 7.7.0 for GPTQ and AWQ, with scales by the largest value of a group instead of its calibration); Transformers
computes with the dequantized values, in float32. Deterministic (fixed seeds, 1 thread).
Needs compressed-tensors and gptqmodel. run: OMP_NUM_THREADS=1 python make_stored_forms.py [folder]"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from as_json import seeded, summary, tensor
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.quantization import FORMAT
from gptqmodel.nn_modules.qlinear.torch_awq import AwqTorchLinear
from gptqmodel.utils.model_dequant import _revert_gptq_v1_qzeros_correction
from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm
from safetensors.torch import save_file
from transformers import Qwen3Config, Qwen3ForCausalLM

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
TOKENS, GROUP = 12, 32
config = Qwen3Config(vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                     max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=0)

# The form of each layer of qwen3_compressed: format, and the quantization of its weight.
FORMS = {
    'q_proj': ('float-quantized', dict(num_bits=8, type='float', strategy='channel')),
    'k_proj': ('nvfp4-pack-quantized', dict(num_bits=4, type='float', strategy='tensor_group', group_size=16, scale_dtype='torch.float8_e4m3fn', zp_dtype='torch.float8_e4m3fn')),
    'v_proj': ('float-quantized', dict(num_bits=8, type='float', strategy='block', block_structure=[16, 32])),
    'o_proj': ('int-quantized', dict(num_bits=8, type='int', strategy='channel', symmetric=False)),
    'gate_proj': ('pack-quantized', dict(num_bits=4, type='int', strategy='group', group_size=GROUP)),
    'up_proj': ('pack-quantized', dict(num_bits=4, type='int', strategy='group', group_size=GROUP, symmetric=False)),
    'down_proj': ('naive-quantized', dict(num_bits=8, type='float', strategy='tensor')),
}

MX = dict(type='float', strategy='group', group_size=32, scale_dtype='torch.uint8', zp_dtype='torch.uint8')
# The forms of qwen3_compressed_mx.
MX_FORMS = {
    **dict.fromkeys(('q_proj', 'gate_proj'), ('mxfp4-pack-quantized', dict(num_bits=4, **MX))),
    **dict.fromkeys(('k_proj', 'up_proj'), ('mxfp6-pack-quantized', dict(num_bits=6, **MX))),
    **dict.fromkeys(('v_proj', 'down_proj'), ('mxfp8-quantized', dict(num_bits=8, **MX))),
    'o_proj': ('float-quantized', dict(num_bits=8, type='float', strategy='group', group_size=16)),
}

def compressed(forms, name, weight):
    """The tensors of a layer, and the values that they stand for."""
    form, how = forms[name]
    args = QuantizationArgs(**how)
    rows, width = weight.shape
    w = weight.to(torch.bfloat16)
    blocks = {'channel': (1, width), 'tensor': (rows, width), 'group': (1, how.get('group_size')), 'tensor_group': (1, 16), 'block': (16, 32)}[how['strategy']]
    parts = w.reshape(rows // blocks[0], blocks[0], width // blocks[1], blocks[1])
    low, high = parts.amin(dim=(1, 3)), parts.amax(dim=(1, 3))
    state = dict(weight=w)
    if how['strategy'] == 'tensor_group':
        state['weight_global_scale'] = generate_gparam(low.amin().reshape(1), high.amax().reshape(1)).float()
        low, high = low, high
    scale, zero = calculate_qparams(low, high, args, global_scale=state.get('weight_global_scale'))
    if how['strategy'] == 'tensor':
        scale, zero = scale.reshape(1), zero.reshape(1)
    state['weight_scale'] = scale if how['strategy'] == 'tensor_group' else scale.to(torch.bfloat16)
    if form.startswith('mxfp'):
        assert torch.equal(state['weight_scale'], torch.exp2(torch.log2(scale.float()).round())), 'scales are powers of two'
    if not args.symmetric:
        state['weight_zero_point'] = zero.to(torch.int8)
    scheme = QuantizationScheme(targets=['Linear'], weights=args, format=form)
    library = BaseCompressor.get_value_from_registry(form)
    stored = library.compress(state, scheme)
    return stored, library.decompress(stored, scheme)['weight'], scheme

def grouped(weight, bits, group, symmetric):
    """Scales and zeros [rows, groups]."""
    rows, width = weight.shape
    parts = weight.reshape(rows, width // group, group)
    if symmetric:
        return (parts.abs().amax(2) / (2 ** (bits - 1) - 1)).half().float(), torch.full((rows, width // group), float(2 ** (bits - 1)))
    low, high = parts.amin(2).clamp(max=0), parts.amax(2).clamp(min=0)
    scale = ((high - low) / (2 ** bits - 1)).half().float()
    # A zero of zero is stored as one that carries into its neighbor.
    return scale, (-low / scale).round().clamp(1, 2 ** bits - 1)

def gptq(weight, order, bits=4):
    rows, width = weight.shape
    linear = torch.nn.Linear(width, rows, bias=False)
    linear.weight.data = weight[:, order].contiguous()
    scales, zeros = grouped(linear.weight.data, bits, GROUP, False)
    groups = torch.empty(width, dtype=torch.int32)
    groups[order] = (torch.arange(width) // GROUP).int()
    linear.weight.data = weight.clone()
    module = TorchLinear(bits=bits, group_size=GROUP, sym=False, desc_act=True, in_features=width, out_features=rows, format=FORMAT.GPTQ_V2, register_buffers=True)
    module.pack_original(linear, scales, zeros, groups)
    module.post_init()
    value = module.dequantize_weight().T
    zeros = module.qzeros - 0x11111111 if bits == 4 else _revert_gptq_v1_qzeros_correction(module.qzeros, bits)
    stored = dict(qweight=module.qweight, qzeros=zeros, scales=module.scales, g_idx=module.g_idx)
    return stored, value

def awq(weight):
    rows, width = weight.shape
    linear = torch.nn.Linear(width, rows, bias=False)
    linear.weight.data = weight.clone()
    scales, zeros = grouped(weight, 4, GROUP, False)
    module = AwqTorchLinear(bits=4, group_size=GROUP, sym=False, desc_act=False, in_features=width, out_features=rows, bias=False, register_buffers=True)
    # The largest codes are clamped by choosing the scales, so that none leaves its four bits.
    module.pack(linear, (scales * 1.1).half().float(), zeros)
    stored = dict(qweight=module.qweight, qzeros=module.qzeros, scales=module.scales)
    return stored, dequantize_gemm(**stored, bits=4, group_size=GROUP).T

def write(name, seed, convert, quantization):
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(config).eval()
    generator = seeded(seed + 1)
    tensors = {}
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
            p.copy_(p.to(torch.bfloat16))
            if not key.endswith('_proj.weight'):
                tensors[key] = p.detach().to(torch.bfloat16).clone()
                continue
            base = key.removesuffix('.weight')
            stored, value = convert(base.split('.')[-1], p.detach().clone())
            assert (value.float() - p).abs().max() < (0.3 if '3' in name.removeprefix('qwen3') else 0.15), (key, (value.float() - p).abs().max())
            tensors.update({f'{base}.{part}': content.detach().contiguous() for part, content in stored.items()})
            p.copy_(value.float())
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    save_file(tensors, os.path.join(folder, 'model.safetensors'), metadata=dict(format='pt'))
    json.dump({**config.to_dict(), 'architectures': ['Qwen3ForCausalLM'], 'dtype': 'bfloat16', 'quantization_config': quantization},
              open(os.path.join(folder, 'config.json'), 'w'), indent=2)
    ids = torch.randint(3, config.vocab_size, (2, TOKENS), generator=seeded(seed + 2))
    seen = torch.ones_like(ids)
    seen[1, TOKENS - 3 :] = 0
    labels = ids.masked_fill(seen == 0, -100)
    out = model(input_ids=ids, attention_mask=seen, labels=labels)
    out.loss.backward()
    golden = dict(meta=dict(torch=torch.__version__, transformers=transformers.__version__), model='Qwen3ForCausalLM',
                  inputs=dict(input_ids=tensor(ids), attention_mask=tensor(seen)), labels=tensor(labels), loss=float(f'{out.loss.item():.8g}'),
                  logits=tensor(out.logits), grads={n: summary(p.grad) for n, p in model.named_parameters()})
    with open(os.path.join(folder, 'golden.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    print(name, golden['loss'])

for name, seed, forms in [('qwen3_compressed', 821, FORMS), ('qwen3_compressed_mx', 825, MX_FORMS)]:
    groups = {}
    for i, (layer, (form, how)) in enumerate(forms.items()):
        weights = QuantizationArgs(**how).model_dump(mode='json')
        groups[f'group_{i}'] = dict(targets=[f're:.*{layer}$'], weights=weights, input_activations=None, output_activations=None, format=form)
    write(name, seed, lambda layer, weight: compressed(forms, layer, weight)[:2],
          dict(quant_method='compressed-tensors', format='mixed-precision', quantization_status='compressed', config_groups=groups, ignore=['lm_head'],
               kv_cache_scheme=None, sparsity_config={}, transform_config={}, global_compression_ratio=None))
shuffle = seeded(831)
write('qwen3_gptq', 832, lambda layer, weight: gptq(weight, torch.randperm(weight.shape[1], generator=shuffle)),
      dict(quant_method='gptq', bits=4, group_size=GROUP, desc_act=True, sym=False, checkpoint_format='gptq', lm_head=False, pack_dtype='int32'))
shuffle3 = seeded(835)
write('qwen3_gptq3', 836, lambda layer, weight: gptq(weight, torch.randperm(weight.shape[1], generator=shuffle3), 3),
      dict(quant_method='gptq', bits=3, group_size=GROUP, desc_act=True, sym=False, checkpoint_format='gptq', lm_head=False, pack_dtype='int32'))
write('qwen3_awq', 841, lambda layer, weight: awq(weight),
      dict(quant_method='awq', bits=4, group_size=GROUP, zero_point=True, version='gemm', modules_to_not_convert=None))
