"""The golden folder qwen3_modelopt: layers in FP8 with a scale for all or for each row, MXFP8, and NVFP4, as Model Optimizer exports them. Its classes (0.47.0)
quantize and dequantize, and its converter writes the quantization_config; Transformers computes with the dequantized values, in float32. Deterministic
(fixed seeds, 1 thread). Needs nvidia-modelopt. run: OMP_NUM_THREADS=1 python make_modelopt.py [folder]"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from as_json import seeded, summary, tensor
from modelopt.torch.export.convert_hf_config import convert_hf_quant_config_format
from modelopt.torch.quantization.qtensor import FP8QTensor, MXFP8QTensor, NVFP4QTensor
from safetensors.torch import save_file
from transformers import Qwen3Config, Qwen3ForCausalLM

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
TOKENS, SEED = 12, 911
folder = os.path.join(OUT, 'qwen3_modelopt')
config = Qwen3Config(vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                     max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=0)
ALGOS = {'q_proj': 'FP8', 'k_proj': 'FP8_PER_CHANNEL_PER_TOKEN', 'v_proj': 'MXFP8', 'o_proj': 'W4A16_NVFP4'}


def quantized(algo, w):
    """The tensors of a layer, and the values that they stand for."""
    if algo.startswith('FP8'):
        scale = (w.abs().amax(1) if algo != 'FP8' else w.abs().amax()) / 448
        codes = (w / (scale[:, None] if algo != 'FP8' else scale)).to(torch.float8_e4m3fn)
        stored = FP8QTensor(w.shape, w.dtype, codes)
        return dict(weight=codes, weight_scale=scale), stored.dequantize(torch.float32, scale=scale[:, None] if scale.ndim else scale)
    if algo == 'MXFP8':
        stored, scale = MXFP8QTensor.quantize(w)
        return dict(weight=stored._quantized_data, weight_scale=scale), stored.dequantize(torch.bfloat16, scale=scale)
    stored, scale, whole = NVFP4QTensor.quantize(w, 16)
    value = stored.dequantize(torch.bfloat16, scale=scale, double_scale=whole, block_sizes={-1: 16})
    return dict(weight=stored._quantized_data, weight_scale=scale, weight_scale_2=whole), value


torch.manual_seed(SEED)
model = Qwen3ForCausalLM(config).eval()
generator = seeded(SEED + 1)
tensors, layers = {}, {}
with torch.no_grad():
    for key, p in model.named_parameters():
        p.add_(0.05 * torch.randn(p.shape, generator=generator))
        p.copy_(p.to(torch.bfloat16))
        if not key.endswith('_proj.weight'):
            tensors[key] = p.detach().to(torch.bfloat16).clone()
            continue
        base = key.removesuffix('.weight')
        algo = ALGOS.get(base.split('.')[-1], 'NVFP4')
        layers[base] = dict(quant_algo=algo, **({'group_size': 16} if 'NVFP4' in algo else {}))
        stored, value = quantized(algo, p.detach().clone())
        tensors.update({f'{base}.{part}': content.contiguous() for part, content in stored.items()})
        if algo in ('FP8', 'NVFP4'):
            tensors[f'{base}.input_scale'] = torch.tensor(0.01)
        assert (value.float() - p).abs().max() < 0.1, key
        p.copy_(value.float())
    for name in 'kv':
        tensors[f'model.layers.0.self_attn.{name}_proj.{name}_scale'] = torch.tensor(1.0)
os.makedirs(folder, exist_ok=True)
save_file(tensors, os.path.join(folder, 'model.safetensors'), metadata=dict(format='pt'))
how = convert_hf_quant_config_format(dict(producer=dict(name='modelopt', version='0.47.0'), quantization=dict(
    quant_algo='MIXED_PRECISION', kv_cache_quant_algo='FP8', exclude_modules=['lm_head'], quantized_layers=layers)))
json.dump({**config.to_dict(), 'architectures': ['Qwen3ForCausalLM'], 'dtype': 'bfloat16', 'quantization_config': how},
          open(os.path.join(folder, 'config.json'), 'w'), indent=2)
ids = torch.randint(3, config.vocab_size, (2, TOKENS), generator=seeded(SEED + 2))
seen = torch.ones_like(ids)
seen[1, TOKENS - 3 :] = 0
labels = ids.masked_fill(seen == 0, -100)
out = model(input_ids=ids, attention_mask=seen, labels=labels)
out.loss.backward()
golden = dict(meta=dict(torch=torch.__version__, transformers=transformers.__version__, modelopt='0.47.0'), model='Qwen3ForCausalLM',
              inputs=dict(input_ids=tensor(ids), attention_mask=tensor(seen)), labels=tensor(labels), loss=float(f'{out.loss.item():.8g}'),
              logits=tensor(out.logits), grads={n: summary(p.grad) for n, p in model.named_parameters()})
with open(os.path.join(folder, 'golden.json'), 'w') as file:
    json.dump(golden, file, separators=(',', ':'))
print(golden['loss'])
