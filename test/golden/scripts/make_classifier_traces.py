"""Four AdamW steps on classifiers of every family, for all parameters, every third row (SPSFT) and low-rank factors (LoRA), with PyTorch.
Deterministic (1 thread). Inputs and labels are those of golden.json; dropout is off, and running statistics stay unchanged.
run: OMP_NUM_THREADS=1 python make_classifier_traces.py [name …]      (writes ../classifier_traces.json; with names, only these are updated)"""
import json, os, re, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from file_names import file_names
from four_steps import ALPHA, EVERY, RANK, RATE, losses_of, wave
from open_model import open_model
from torch.func import functional_call

torch.set_num_threads(1)
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
PATH = os.path.join(OUT, 'classifier_traces.json')
FOLDERS = ['bert', 'roberta', 'xlm_roberta', 'mpnet', 'nomic_bert', 'eurobert', 'ultrabert', 'gte', 'esm', 'distilbert', 'electra', 'albert', 'albert_groups', 'modernbert', 'deberta', 'vit', 'deit', 'dinov2', 'dinov2_registers', 'dinov3', 'convnext', 'convnextv2', 'swin', 'siglip', 'resnet', 'timm_dinov2_registers', 'timm_convnext', 'timm_convnextv2', 'timm_swin', 'bert_tokens', 'modernbert_tokens', 'deberta_tokens']
# Layers of the blocks, by the form of their names; these get low-rank factors.
IN_BLOCKS = re.compile(r'(^|\.)(layer|layers|albert_layers|blocks|stages)\.\d|\blayer\d\.\d')


def trace(name):
    folder = os.path.join(OUT, name)
    golden = json.load(open(os.path.join(folder, 'golden.json')))
    tensor = lambda t, **kind: torch.tensor(t['data'], **kind).reshape(t['shape'])
    inputs, labels = {k: tensor(v) for k, v in golden['inputs'].items()}, tensor(golden['labels'])

    def loss_of(model, changed):
        out = functional_call(model, changed, kwargs=inputs) if hasattr(model, 'config') else functional_call(model, changed, tuple(inputs.values()))
        logits = out if torch.is_tensor(out) else out.logits
        # With a label per token, those of -100 do not count.
        return torch.nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten())

    def train(parameters, weights, masks):
        """@param weights returns the model's tensors that differ from its own, computed from the parameters"""
        return losses_of(parameters, lambda: loss_of(model, weights()), masks)

    def fresh():
        opened, _ = open_model(folder)
        return opened, file_names(opened, folder)

    model, names = fresh()
    result = dict(full=train(list(model.parameters()), dict, []))
    model, names = fresh()
    rowed = {f'{at}.{key}' if at else key for at, module in model.named_modules() if type(module) is not torch.nn.Embedding
             for key, p in module.named_parameters(recurse=False) if key in ('weight', 'bias', 'lambda1', 'gamma', 'layer_scale_parameter')}
    chosen, masks = [], []
    for key, p in model.named_parameters():
        if key not in rowed:
            p.requires_grad_(False)
            continue
        rows = max(p.shape[0], p.numel()) if p.squeeze().dim() == 1 else p.shape[0]
        mask = (torch.arange(rows) % EVERY == 0).float()
        masks.append((p, mask.reshape(p.shape) if mask.numel() == p.numel() else mask.reshape(-1, *[1] * (p.dim() - 1))))
        chosen.append((names[key], p))
    result['spsft'] = train([p for p, _ in masks], dict, masks)
    # A head for pretraining is not used.
    result['rows'] = [key for key, p in chosen if not key.endswith('.bias') and p.grad is not None]
    model, names = fresh()
    model.requires_grad_(False)
    factors = {}
    for at, module in model.named_modules():
        if not isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) or not IN_BLOCKS.search(at):
            continue
        weight, phase = module.weight, len(names[f'{at}.weight'])
        a = wave((RANK, *weight.shape[1:]), 0.1, phase)
        b = wave((weight.shape[0], RANK), 0.1, phase + 1)
        factors[f'{at}.weight'] = (a.requires_grad_(), b.requires_grad_())
    merged = lambda: {key: model.get_parameter(key) + ALPHA / RANK * (b @ a.flatten(1)).reshape(model.get_parameter(key).shape) for key, (a, b) in factors.items()}
    result['low_rank'] = [names[key] for key in factors]
    result['lora'] = train([f for pair in factors.values() for f in pair], merged, [])
    return result


asked = sys.argv[1:]
kept = json.load(open(PATH))['folders'] if asked and os.path.exists(PATH) else {}
out = dict(torch=torch.__version__, transformers=transformers.__version__, every=EVERY, rate=RATE, rank=RANK, alpha=ALPHA,
           folders={name: kept[name] if asked and name not in asked else trace(name) for name in FOLDERS})
json.dump(out, open(PATH, 'w'), separators=(',', ':'))
for name in asked or FOLDERS:
    print(name, {k: out['folders'][name][k] for k in ('full', 'spsft', 'lora')})
print(os.path.getsize(PATH))
