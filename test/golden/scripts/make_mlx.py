"""The golden folders qwen3_mlx (affine: each layer in another number of bits, the embedding in 6; groups of 32) and qwen3_mlx_floats (mxfp4, with layers in
mxfp8 and nvfp4), as mlx-lm writes them. MLX 0.32.4 on a processor quantizes, saves and dequantizes; Transformers computes with the dequantized values, in
float32. Deterministic (fixed seeds, 1 thread). Needs mlx[cpu]. run: OMP_NUM_THREADS=1 python make_mlx.py [folder]"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import mlx.core as mx, numpy as np, torch, transformers
from importlib.metadata import version
from as_json import seeded, summary, tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

torch.set_num_threads(1)
mx.set_default_device(mx.cpu)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
TOKENS = 12
config = Qwen3Config(vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                     max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=0)
as_mlx = lambda p: mx.array(p.detach().float().numpy()).astype(mx.bfloat16)
as_torch = lambda a: torch.from_numpy(np.array(a.astype(mx.float32)))

def write(name, seed, usual, own):
    """@param own the settings of the layers that differ, by the end of their names; False for a layer that is not quantized"""
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(config).eval()
    generator = seeded(seed + 1)
    tensors, quantization = {}, dict(usual)
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
            base = key.removesuffix('.weight')
            part = base.split('.')[-1]
            how = own.get(part, usual)
            if p.ndim < 2 or how is False:
                tensors[key] = as_mlx(p)
                p.copy_(as_torch(tensors[key]))
                if p.ndim == 2:
                    quantization[base] = False
                continue
            if how is not usual:
                quantization[base] = how
            parts = mx.quantize(as_mlx(p), **how)
            tensors.update({f'{base}.{kind}': content for kind, content in zip(['weight', 'scales', 'biases'], parts)})
            value = as_torch(mx.dequantize(*parts, **how))
            assert (value - p).abs().max() < 0.3, key
            p.copy_(value)
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    mx.save_safetensors(os.path.join(folder, 'model.safetensors'), tensors, metadata=dict(format='mlx'))
    json.dump({**config.to_dict(), 'architectures': ['Qwen3ForCausalLM'], 'dtype': 'bfloat16', 'quantization': quantization, 'quantization_config': quantization},
              open(os.path.join(folder, 'config.json'), 'w'), indent=2)
    ids = torch.randint(3, config.vocab_size, (2, TOKENS), generator=seeded(seed + 2))
    seen = torch.ones_like(ids)
    seen[1, TOKENS - 3 :] = 0
    labels = ids.masked_fill(seen == 0, -100)
    out = model(input_ids=ids, attention_mask=seen, labels=labels)
    out.loss.backward()
    golden = dict(meta=dict(torch=torch.__version__, transformers=transformers.__version__, mlx=version('mlx')), model='Qwen3ForCausalLM',
                  inputs=dict(input_ids=tensor(ids), attention_mask=tensor(seen)), labels=tensor(labels), loss=float(f'{out.loss.item():.8g}'),
                  logits=tensor(out.logits), grads={n: summary(p.grad) for n, p in model.named_parameters()})
    with open(os.path.join(folder, 'golden.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    print(name, golden['loss'])

bits = lambda n: dict(group_size=32, bits=n)
affine = {part: bits(n) for part, n in dict(q_proj=2, k_proj=3, v_proj=5, o_proj=6, up_proj=8, embed_tokens=6).items()}
write('qwen3_mlx', 861, dict(**bits(4), mode='affine'), {**affine, 'down_proj': False})
write('qwen3_mlx_floats', 871, dict(**bits(4), mode='mxfp4'),
      dict(q_proj=dict(group_size=32, bits=8, mode='mxfp8'), up_proj=dict(group_size=16, bits=4, mode='nvfp4'), embed_tokens=False))
