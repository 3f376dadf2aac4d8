"""The golden folders qwen3_fp8 (linear layers in 8-bit floats, E4M3, with a scale per block of 128 × 128, as Qwen3-FP8 and DeepSeek store them) and
qwen3_fp8_exponents (scales are exponents, E8M0: those of attention have the type F8_E8M0 and blocks of 128 × 128, those of the MLP are bytes for blocks of
1 × 32, as in MXFP8). The first is in two shards. The codes and the values that they represent are PyTorch's own (torch.float8_e4m3fn, torch.float8_e8m0fnu);
Transformers computes with those values, and its dequantizer agrees. Deterministic (fixed seeds, 1 thread).
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
config = Qwen3Config(vocab_size=64, hidden_size=128, intermediate_size=256, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=4, head_dim=32,
                     max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=0)

def quantized(p, block, power):
    """Codes, scales, and the values that they stand for. @param power whether scales are powers of two"""
    high, wide = block
    parts = p.reshape(p.shape[0] // high, high, p.shape[1] // wide, wide)
    scales = parts.abs().amax(dim=(1, 3)) / LARGEST
    if power:
        scales = torch.exp2(torch.ceil(torch.log2(scales)))
    each = scales[:, None, :, None]
    codes = (parts / each).to(torch.float8_e4m3fn)
    return codes.reshape(p.shape), scales, (codes.float() * each).reshape(p.shape)

def save(folder, shards):
    for file, own in shards.items():
        save_file({name: content.contiguous() for name, content in own.items()}, os.path.join(folder, file), metadata=dict(format='pt'))
    if len(shards) > 1:
        index = dict(metadata={}, weight_map={name: file for file, own in shards.items() for name in own})
        json.dump(index, open(os.path.join(folder, 'model.safetensors.index.json'), 'w'), indent=1)

def write(folder, seed, form, settings, sharded=False):
    """@param form the block of a layer, and how its scales are stored"""
    folder = os.path.join(OUT, folder)
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(config).eval()
    generator = seeded(seed + 1)
    tensors = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
            if not name.endswith('_proj.weight'):
                tensors[name] = p.detach().clone()
                continue
            block, dtype = form(name)
            codes, scales, values = quantized(p, block, dtype is not torch.float32)
            exponents = scales.to(torch.float8_e8m0fnu)
            assert dtype is torch.float32 or torch.equal(exponents.float(), scales), name
            tensors[name] = codes
            tensors[f'{name}_scale_inv'] = {torch.float32: scales, torch.uint8: exponents.view(torch.uint8)}.get(dtype, exponents)
            p.copy_(values)

    os.makedirs(folder, exist_ok=True)
    names = sorted(tensors)
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    save(folder, {f'model-{i}-of-00002.safetensors': {name: tensors[name] for name in own} for i, own in zip(('00001', '00002'), halves)}
         if sharded else {'model.safetensors': tensors})
    how = dict(quant_method='fp8', fmt='e4m3', activation_scheme='dynamic', **settings)
    json.dump({**config.to_dict(), 'architectures': ['Qwen3ForCausalLM'], 'quantization_config': how}, open(os.path.join(folder, 'config.json'), 'w'), indent=2)

    theirs = AutoModelForCausalLM.from_pretrained(folder, quantization_config=FineGrainedFP8Config(dequantize=True), dtype=torch.float32)
    for name, p in model.named_parameters():
        assert torch.equal(theirs.get_parameter(name).float(), p), name

    ids = torch.randint(3, config.vocab_size, (2, TOKENS), generator=seeded(seed + 2))
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
    print(folder, golden['loss'])

square = (BLOCK, BLOCK)
write('qwen3_fp8', 801, lambda _: (square, torch.float32), dict(weight_block_size=square), sharded=True)
write('qwen3_fp8_exponents', 811, lambda name: ((1, 32), torch.uint8) if '.mlp.' in name else (square, torch.float8_e8m0fnu),
      dict(weight_block_size=square, scale_fmt='ue8m0'))
