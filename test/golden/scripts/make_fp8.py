"""The golden folder qwen3_fp8: linear layers in 8-bit floats (E4M3) with a scale per block of 128 × 128, as Qwen3-FP8 and DeepSeek store them, in two
shards. The codes and the values that they represent are PyTorch's own (torch.float8_e4m3fn); Transformers computes with those values, and its
dequantizer agrees. Deterministic (fixed seeds, 1 thread).
run: OMP_NUM_THREADS=1 python make_fp8.py [folder]"""
import json, math, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from as_json import seeded, summary, tensor
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, FineGrainedFP8Config, Qwen3Config, Qwen3ForCausalLM

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
BLOCK, LARGEST, TOKENS = 128, 448.0, 12
folder = os.path.join(OUT, 'qwen3_fp8')

torch.manual_seed(801)
config = Qwen3Config(vocab_size=64, hidden_size=128, intermediate_size=256, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=4, head_dim=32,
                     max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=0)
model = Qwen3ForCausalLM(config).eval()
generator = seeded(802)
tensors = {}
with torch.no_grad():
    for name, p in model.named_parameters():
        p.add_(0.05 * torch.randn(p.shape, generator=generator))
        if not name.endswith('_proj.weight'):
            tensors[name] = p.detach().clone()
            continue
        rows, columns = (math.ceil(size / BLOCK) for size in p.shape)
        scales = torch.zeros(rows, columns)
        codes = torch.zeros(p.shape, dtype=torch.float8_e4m3fn)
        for i in range(rows):
            for j in range(columns):
                part = (slice(i * BLOCK, (i + 1) * BLOCK), slice(j * BLOCK, (j + 1) * BLOCK))
                scales[i, j] = p[part].abs().max() / LARGEST
                codes[part] = (p[part] / scales[i, j]).to(torch.float8_e4m3fn)
                p[part] = codes[part].float() * scales[i, j]
        tensors[name], tensors[f'{name}_scale_inv'] = codes, scales

os.makedirs(folder, exist_ok=True)
names = sorted(tensors)
shards = {'model-00001-of-00002.safetensors': names[: len(names) // 2], 'model-00002-of-00002.safetensors': names[len(names) // 2 :]}
for file, own in shards.items():
    save_file({name: tensors[name].contiguous() for name in own}, os.path.join(folder, file), metadata=dict(format='pt'))
index = dict(metadata={}, weight_map={name: file for file, own in shards.items() for name in own})
json.dump(index, open(os.path.join(folder, 'model.safetensors.index.json'), 'w'), indent=1)
how = dict(quant_method='fp8', fmt='e4m3', activation_scheme='dynamic', weight_block_size=[BLOCK, BLOCK])
json.dump({**config.to_dict(), 'architectures': ['Qwen3ForCausalLM'], 'quantization_config': how}, open(os.path.join(folder, 'config.json'), 'w'), indent=2)

theirs = AutoModelForCausalLM.from_pretrained(folder, quantization_config=FineGrainedFP8Config(dequantize=True), dtype=torch.float32)
for name, p in model.named_parameters():
    assert torch.equal(theirs.get_parameter(name).float(), p), name

ids = torch.randint(3, config.vocab_size, (2, TOKENS), generator=seeded(803))
seen = torch.ones_like(ids)
seen[1, TOKENS - 3 :] = 0
labels = ids.masked_fill(seen == 0, -100)
out = model(input_ids=ids, attention_mask=seen, labels=labels)
out.loss.backward()
grads = {n: summary(p.grad) for n, p in model.named_parameters()}
golden = dict(meta=dict(torch=torch.__version__, transformers=transformers.__version__), model='Qwen3ForCausalLM',
              inputs=dict(input_ids=tensor(ids), attention_mask=tensor(seen)), labels=tensor(labels), loss=float(f'{out.loss.item():.8g}'),
              logits=tensor(out.logits), grads=grads)
with open(os.path.join(folder, 'golden.json'), 'w') as file:
    json.dump(golden, file, separators=(',', ':'))
print(golden['loss'])
