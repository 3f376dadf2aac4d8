"""The golden folder qwen3_bnb8: linear layers in 8 bits (LLM.int8) as bitsandbytes saves them. bitsandbytes quantizes, saves and
dequantizes; Transformers computes with the dequantized values, in float32. Deterministic (fixed seeds, 1 thread).
Needs bitsandbytes and accelerate. run: OMP_NUM_THREADS=1 python make_bnb8.py [folder]"""
import json, os, shutil, sys, tempfile
os.environ['HF_HUB_OFFLINE'] = '1'
import bitsandbytes, torch, transformers
from as_json import seeded, summary, tensor
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, Qwen3Config, Qwen3ForCausalLM

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
TOKENS = 12
folder = os.path.join(OUT, 'qwen3_bnb8')

torch.manual_seed(851)
config = Qwen3Config(vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                     max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=0)
model = Qwen3ForCausalLM(config).eval()
generator = seeded(852)
with torch.no_grad():
    for p in model.parameters():
        p.add_(0.05 * torch.randn(p.shape, generator=generator))
how = BitsAndBytesConfig(load_in_8bit=True)
with tempfile.TemporaryDirectory() as plain:
    model.to(torch.bfloat16).save_pretrained(plain)
    theirs = AutoModelForCausalLM.from_pretrained(plain, quantization_config=how, device_map='cpu', dtype=torch.bfloat16)
shutil.rmtree(folder, ignore_errors=True)
theirs.save_pretrained(folder)
os.remove(os.path.join(folder, 'generation_config.json'))

# The model with the values that the codes stand for.
values = {}
for name, module in theirs.named_modules():
    if isinstance(module, bitsandbytes.nn.Linear8bitLt):
        values[f'{name}.weight'] = bitsandbytes.functional.int8_vectorwise_dequant(module.weight.data, module.weight.SCB if module.state.SCB is None else module.state.SCB)
state = {name: values.get(name, value).float() for name, value in theirs.state_dict().items() if name in dict(model.named_parameters())}
assert len(values) == 7
model = Qwen3ForCausalLM(config).eval()
model.load_state_dict(state)

ids = torch.randint(3, config.vocab_size, (2, TOKENS), generator=seeded(853))
seen = torch.ones_like(ids)
seen[1, TOKENS - 3 :] = 0
labels = ids.masked_fill(seen == 0, -100)
out = model(input_ids=ids, attention_mask=seen, labels=labels)
out.loss.backward()
grads = {n: summary(p.grad) for n, p in model.named_parameters()}
golden = dict(meta=dict(torch=torch.__version__, transformers=transformers.__version__, bitsandbytes=bitsandbytes.__version__), model='Qwen3ForCausalLM',
              inputs=dict(input_ids=tensor(ids), attention_mask=tensor(seen)), labels=tensor(labels), loss=float(f'{out.loss.item():.8g}'),
              logits=tensor(out.logits), grads=grads)
with open(os.path.join(folder, 'golden.json'), 'w') as file:
    json.dump(golden, file, separators=(',', ':'))
print(golden['loss'])
