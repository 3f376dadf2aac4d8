"""Four AdamW steps on the golden folders of decoders, for rows, LoRA and all parameters: losses before each step and after the last one.
Deterministic (1 thread); rows and the start values of LoRA follow from formulas, so only losses are stored.
run: OMP_NUM_THREADS=1 python make_decoder_traces.py [folder]"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D
from transformers.models.gemma3n.modeling_gemma3n import Gemma3nRMSNorm
from transformers.models.gemma4.modeling_gemma4 import Gemma4RMSNorm

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
FOLDERS = ['qwen3', 'qwen3_5', 'gemma', 'gemma2', 'gemma3', 'gemma3n', 'gemma4', 'gemma4_untied', 'smollm3', 'olmo2', 'olmo3', 'olmo_hybrid', 'granite', 'granite_swa', 'hyperclovax', 'nemotron', 'granite4', 'granite4_mamba', 'nanochat', 'modernbert_decoder', 'nemotron_h', 'falcon_h1', 'lfm2', 'lfm3', 'glm4', 'exaone4', 'apertus', 'gpt_neox', 'gpt_neox_sequential', 'gpt2', 'gpt2_bare', 'starcoder2', 'stablelm', 'phi', 'vaultgemma', 'jais2', 'helium', 'arcee', 'youtu', 'ernie4_5', 'hunyuan', 'cohere2', 'phi3', 'ministral3']
# Gradients of keys that several layers read nearly cancel: in float32, PyTorch's are up to 30% off, and AdamW takes a whole step along
# each.
DOUBLE = ['gemma3n', 'gemma4']
LR, STEPS, RANK, ALPHA = 5e-3, 4, 4, 16
TOKENS = 12


def batch(vocab):
    return torch.tensor([[(i * 37 + row * 11 + 5) % (vocab - 3) + 3 for i in range(TOKENS)] for row in range(2)])


def block_linears(model):
    # The small layers of Gemma 3n's streams are no targets by default, and neither are those of ModernBERT's head.
    is_head = lambda name: name in ('lm_head', 'lm_head.dense', 'decoder')
    return {name: m for name, m in model.named_modules() if isinstance(m, (torch.nn.Linear, Conv1D)) and not is_head(name) and '.altup.' not in name}


def sizes(m):
    """Features in and out of a layer; GPT-2's have weights [in, out]."""
    return (m.nx, m.nf) if isinstance(m, Conv1D) else (m.in_features, m.out_features)


def chosen_rows(count):
    return sorted({0, 2, count // 2, count - 1})


def losses(model, parameters, mask=lambda: None):
    ids = batch(model.config.vocab_size)
    optimizer = torch.optim.AdamW(parameters, lr=LR, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    found = []
    for step in range(STEPS + 1):
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids).loss
        found.append(float(f'{loss.item():.8g}'))
        loss.backward()
        mask()
        if step < STEPS:
            optimizer.step()
    return found


def open_model(folder):
    dtype = torch.get_default_dtype()
    return AutoModelForCausalLM.from_pretrained(os.path.join(OUT, folder), dtype=dtype, attn_implementation='eager').to(dtype).train()


def traces(folder):
    return dict(full=full(folder), spsft=rows(folder), lora=lora(folder))


def in_double(folder):
    """Computes in float64, including norms and softmax, which Transformers casts to float32. Rotary angles are those of float32."""
    norms = [Gemma3nRMSNorm, Gemma4RMSNorm]
    forwards, softmax = [norm.forward for norm in norms], torch.nn.functional.softmax

    def norm(self, x):
        y = x * (x.pow(2).mean(-1, keepdim=True) + self.eps).pow(-0.5)
        return y * self.weight if self.with_scale else y
    torch.set_default_dtype(torch.float64)
    for each in norms:
        each.forward = norm
    torch.nn.functional.softmax = lambda x, dim, dtype=None: softmax(x, dim)
    try:
        return traces(folder)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.nn.functional.softmax = softmax
        for each, forward in zip(norms, forwards):
            each.forward = forward


def full(folder):
    model = open_model(folder)
    return losses(model, list(model.parameters()))


def rows(folder):
    model = open_model(folder).requires_grad_(False)
    linears = block_linears(model)
    trained = []
    for m in linears.values():
        for p in m.parameters():
            p.requires_grad_(True)
            trained.append((p, -1 if isinstance(m, Conv1D) else 0))

    def mask():
        for p, axis in trained:
            kept = torch.zeros(p.shape[axis], dtype=torch.bool)
            kept[chosen_rows(p.shape[axis])] = True
            p.grad.movedim(axis, 0)[~kept] = 0
    return losses(model, [p for p, _ in trained], mask)


def lora(folder):
    model = open_model(folder).requires_grad_(False)
    trained = []
    for m in block_linears(model).values():
        width, out = sizes(m)
        a = torch.tensor([[((i * 31 + j * 17) % 23 - 11) / 100 for j in range(width)] for i in range(RANK)])
        a, b = torch.nn.Parameter(a), torch.nn.Parameter(torch.zeros(out, RANK))
        trained += [a, b]
        m.register_forward_hook(lambda m, x, y, a=a, b=b: y + x[0] @ a.T @ b.T * (ALPHA / RANK))
    return losses(model, trained)


table = {}
for folder in FOLDERS:
    table[folder] = (in_double if folder in DOUBLE else traces)(folder)
    print(folder, table[folder])
meta = dict(torch=torch.__version__, transformers=transformers.__version__)
with open(os.path.join(OUT, 'decoder_traces.json'), 'w') as file:
    lines = ',\n'.join(f'{json.dumps(name)}:{json.dumps(entry)}' for name, entry in table.items())
    file.write(f'{{"meta":{json.dumps(meta)},"lr":{LR},"tokens":{TOKENS},"rank":{RANK},"alpha":{ALPHA},"folders":{{\n{lines}}}}}\n')
