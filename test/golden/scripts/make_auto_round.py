"""The golden folder qwen3_auto_round: layers in 4 bits, one in 8 bits and one with other groups, in AutoRound's packing auto_round:auto_gptq. AutoRound's own
layer (0.16.1) packs, with scales by the largest value of a group instead of its tuning, and unpacks; Transformers computes with those values, in float32.
Deterministic (fixed seeds, 1 thread). Needs auto-round and datasets. run: OMP_NUM_THREADS=1 python make_auto_round.py [folder]"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from as_json import seeded, summary, tensor
from auto_round_extension.torch.qlinear_torch_zp import QuantLinear
from safetensors.torch import save_file
from transformers import Qwen3Config, Qwen3ForCausalLM

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
TOKENS, SEED = 12, 921
folder = os.path.join(OUT, 'qwen3_auto_round')
config = Qwen3Config(vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                     max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=0)
OWN = {'down_proj': dict(bits=8), 'q_proj': dict(group_size=16), 'o_proj': dict(bits=16)}


def packed(w, bits=4, group_size=32):
    """The tensors of a layer, and the values that they stand for."""
    rows, width = w.shape
    parts = w.reshape(rows, width // group_size, group_size)
    low, high = parts.amin(2).clamp(max=0), parts.amax(2).clamp(min=0)
    scales = ((high - low) / (2 ** bits - 1)).half().float()
    # A zero of zero is stored as one that carries into its neighbor.
    zeros = (-low / scales).round().clamp(1, 2 ** bits - 1)
    linear = torch.nn.Linear(width, rows, bias=False)
    # No code leaves its bits.
    linear.weight.data = torch.clamp((parts / scales[..., None]).round(), -zeros[..., None], 2 ** bits - 1 - zeros[..., None]).mul(scales[..., None]).reshape(w.shape)
    layer = QuantLinear(bits, group_size, width, rows, False)
    layer.pack(linear, scales.clone(), zeros.clone(), None, 'cpu')
    stored = dict(qweight=layer.qweight, qzeros=layer.qzeros, scales=layer.scales)
    return stored, layer(torch.eye(width)).T


torch.manual_seed(SEED)
model = Qwen3ForCausalLM(config).eval()
generator = seeded(SEED + 1)
tensors, extra = {}, {}
with torch.no_grad():
    for key, p in model.named_parameters():
        p.add_(0.05 * torch.randn(p.shape, generator=generator))
        p.copy_(p.to(torch.bfloat16))
        base = key.removesuffix('.weight')
        own = OWN.get(base.split('.')[-1], {})
        if own:
            extra[base] = own
        if not key.endswith('_proj.weight') or own.get('bits') == 16:
            tensors[key] = p.detach().to(torch.bfloat16).clone()
            continue
        stored, value = packed(p.detach().clone(), **own)
        tensors.update({f'{base}.{part}': content.contiguous() for part, content in stored.items()})
        assert (value - p).abs().max() < 0.1, (key, (value - p).abs().max())
        p.copy_(value)
os.makedirs(folder, exist_ok=True)
save_file(tensors, os.path.join(folder, 'model.safetensors'), metadata=dict(format='pt'))
how = dict(bits=4, data_type='int', group_size=32, sym=False, iters=0, autoround_version='0.16.1', block_name_to_quantize='model.layers',
           quant_method='auto-round', packing_format='auto_round:auto_gptq', extra_config=extra)
json.dump({**config.to_dict(), 'architectures': ['Qwen3ForCausalLM'], 'dtype': 'bfloat16', 'quantization_config': how},
          open(os.path.join(folder, 'config.json'), 'w'), indent=2)
ids = torch.randint(3, config.vocab_size, (2, TOKENS), generator=seeded(SEED + 2))
seen = torch.ones_like(ids)
seen[1, TOKENS - 3 :] = 0
labels = ids.masked_fill(seen == 0, -100)
out = model(input_ids=ids, attention_mask=seen, labels=labels)
out.loss.backward()
golden = dict(meta=dict(torch=torch.__version__, transformers=transformers.__version__, auto_round='0.16.1'), model='Qwen3ForCausalLM',
              inputs=dict(input_ids=tensor(ids), attention_mask=tensor(seen)), labels=tensor(labels), loss=float(f'{out.loss.item():.8g}'),
              logits=tensor(out.logits), grads={n: summary(p.grad) for n, p in model.named_parameters()})
with open(os.path.join(folder, 'golden.json'), 'w') as file:
    json.dump(golden, file, separators=(',', ':'))
print(golden['loss'])
