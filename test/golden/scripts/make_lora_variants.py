"""Four AdamW steps with PEFT's rsLoRA, LoRA+, PiSSA and SHiRA on a golden folder: losses before each step and after the last one.
Deterministic (1 thread); ids, the start values of A and the elements follow from formulas, so only losses are stored.
run: OMP_NUM_THREADS=1 python make_lora_variants.py [folder]"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import peft, torch, transformers
from peft import LoraConfig, ShiraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
FOLDER = 'qwen3'
LR, STEPS, RANK, ALPHA, RATIO, DECAY, TOKENS = 1e-3, 4, 4, 16, 16, 1.0, 12
CASES = {
    'plain': dict(use_rslora=False, ratio=1, decay=0),
    'rslora': dict(use_rslora=True, ratio=1, decay=0),
    'loraplus': dict(use_rslora=False, ratio=RATIO, decay=0),
    'both, decayed': dict(use_rslora=True, ratio=RATIO, decay=DECAY),
}


def losses(use_rslora, ratio, decay):
    path = os.path.join(OUT, FOLDER)
    base = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation='eager')
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, use_rslora=use_rslora, target_modules='all-linear', lora_dropout=0)
    model = get_peft_model(base, config).train()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if 'lora_A' in name:
                p.copy_(torch.tensor([[((i * 31 + j * 17) % 23 - 11) / 100 for j in range(p.shape[1])] for i in range(p.shape[0])]))
    return trace(model, create_loraplus_optimizer(model, torch.optim.AdamW, lr=LR, loraplus_lr_ratio=ratio, loraplus_weight_decay=decay,
                                                  betas=(0.9, 0.999), eps=1e-8))


def pissa_losses(use_rslora):
    """PEFT's own start values: the largest singular values of each weight with their vectors."""
    path = os.path.join(OUT, FOLDER)
    base = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation='eager')
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, use_rslora=use_rslora, target_modules='all-linear', lora_dropout=0, init_lora_weights='pissa')
    model = get_peft_model(base, config).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    return trace(model, torch.optim.AdamW(trained, lr=LR, betas=(0.9, 0.999), eps=1e-8, weight_decay=0))


def shira_losses():
    """Returns a mask; element k of n of a weight is the one at k * size // n."""
    def mask(base_layer, r, **_):
        weight = base_layer.weight
        count = r * sum(weight.shape)
        found = torch.zeros(weight.numel())
        found[[k * weight.numel() // count for k in range(count)]] = 1
        return found.view(weight.shape)

    path = os.path.join(OUT, FOLDER)
    base = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation='eager')
    config = ShiraConfig(r=RANK, target_modules=['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'])
    config.mask_fn = mask
    model = get_peft_model(base, config).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    return trace(model, torch.optim.AdamW(trained, lr=LR, betas=(0.9, 0.999), eps=1e-8, weight_decay=0))


def trace(model, optimizer):
    vocab = model.config.vocab_size
    ids = torch.tensor([[(i * 37 + row * 11 + 5) % (vocab - 3) + 3 for i in range(TOKENS)] for row in range(2)])
    found = []
    for step in range(STEPS + 1):
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids).loss
        found.append(float(f'{loss.item():.8g}'))
        loss.backward()
        if step < STEPS:
            optimizer.step()
    return found


shira = shira_losses()
pissa = {name: pissa_losses(use_rslora=name == 'rslora') for name in ('plain', 'rslora')}
table = {name: dict(case, losses=losses(**case)) for name, case in CASES.items()}
print(table)
meta = dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__)
with open(os.path.join(OUT, 'lora_variants.json'), 'w') as file:
    lines = ',\n'.join(f'{json.dumps(name)}:{json.dumps(entry)}' for name, entry in table.items())
    file.write(f'{{"meta":{json.dumps(meta)},"folder":"{FOLDER}","lr":{LR},"tokens":{TOKENS},"rank":{RANK},"alpha":{ALPHA},"shira":{json.dumps(shira)},"pissa":{json.dumps(pissa)},"cases":{{\n{lines}}}}}\n')
