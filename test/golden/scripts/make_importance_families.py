"""Row scores of classifiers of every kind for every measure that uses data, from PyTorch's own gradients, sample by sample.
Deterministic (1 thread). Samples follow from formulas, so none are stored.
run: OMP_NUM_THREADS=1 python make_importance_families.py [folder [name …]]      (with names, only these are updated; timm's also need timm)"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import numpy, torch, transformers
from file_names import file_names
from open_model import open_model

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
FOLDERS = ['bert', 'distilbert', 'electra', 'albert', 'albert_groups', 'xlm_roberta', 'mpnet', 'modernbert', 'deberta', 'deberta_own_keys', 'vit', 'deit', 'dinov2', 'dinov3', 'convnext', 'convnextv2', 'swin', 'siglip', 'resnet', 'timm_resnext', 'timm_vit', 'timm_dinov2_registers', 'timm_convnext', 'timm_convnextv2', 'timm_swin']
SAMPLES, TOKENS = 5, 9
SIDES = dict(vit=32, deit=32, dinov2=16, dinov3=16, convnext=16, convnextv2=16, swin=16, siglip=16, resnet=16, timm_resnext=16, timm_vit=32, timm_dinov2_registers=16, timm_convnext=32, timm_convnextv2=32, timm_swin=16)
LABELS = [0, 1, 2, 0, 1]


def sample(i, vocabulary, side):
    """Returns the input of sample i, and its number of visible tokens."""
    if vocabulary is None:
        at = numpy.arange(3 * side * side, dtype=numpy.float64)
        return dict(pixel_values=torch.tensor(numpy.sin(0.7 * at + i).astype(numpy.float32)).reshape(1, 3, side, side)), None
    ids = [1 + (7 * i * i + 3 * t * t + 11 * i * t + 5) % (vocabulary - 1) for t in range(TOKENS)]
    seen = TOKENS - i
    return dict(input_ids=torch.tensor([ids]), attention_mask=torch.tensor([[int(t < seen) for t in range(TOKENS)]])), seen


def scale_of(module):
    """Returns the factor of a layer scale."""
    return module.gamma if type(module).__name__ == 'LayerScale' else getattr(module, 'lambda1', None)


class Watch:
    """Inputs and outputs of every layer with rows for one sample, before others write to them; unread values are omitted."""

    def __init__(self, model):
        self.calls = {}
        for name, module in model.named_modules():
            if scale_of(module) is not None or getattr(module, 'weight', None) is not None:
                module.register_forward_hook(lambda m, args, out, name=name: self.calls.setdefault(name, []).append((args[0].detach().clone(), out.detach().clone())))

    def take(self, seen):
        cut = lambda x: x[:, :seen] if seen is not None and x.dim() > 1 and x.shape[1] == TOKENS else x
        # The head reads only the class token.
        last = lambda name, x: x[:, :1] if name.endswith('it.layernorm') or name == 'norm' and x.dim() == 3 else x
        calls = {name: [(last(name, cut(x)), last(name, cut(y))) for x, y in pairs] for name, pairs in self.calls.items()}
        self.calls = {}
        return calls


def channels_last(module, x):
    """Returns x as […, channels]; for images, channels come first in convolutions and in norms that say so."""
    is_first = (isinstance(module, (torch.nn.Conv2d, torch.nn.BatchNorm2d)) or getattr(module, 'data_format', '') == 'channels_first' or
                type(module).__name__ == 'LayerNorm2d' or getattr(module, 'channel_dim', -1) == 1)
    return (x.movedim(1, -1) if is_first else x).flatten(0, -2)


def squares(module, x, y, weight):
    """Returns the terms of one sample, to be summed, whose root wanda and activation take: the first by input, the second by row."""
    if isinstance(module, torch.nn.Embedding):
        count = torch.bincount(x.flatten(), minlength=weight.shape[0]).double()
        return count, count * weight.double().square().sum(1)
    out = channels_last(module, y).double()
    if weight.squeeze().dim() == 1:
        bias = 0 if getattr(module, 'bias', None) is None else module.bias.double().flatten()
        # A response norm adds its input, which does not belong to its rows.
        out = out - channels_last(module, x).double() if type(module).__name__.endswith(('GRN', 'ResponseNorm')) else out
        return (out - bias).square().sum(0), out.square().sum(0)
    return channels_last(module, x).double().square().sum(0), out.square().sum(0)


def wanda(module, weight, sums):
    weight = weight.double().abs()
    if isinstance(module, torch.nn.Embedding):
        return sums.sqrt() * weight.sum(1)
    if weight.dim() == 1:
        return sums.sqrt()
    flat, norms = weight.flatten(2).sum(2) if weight.dim() == 4 else weight, sums.sqrt()
    groups = getattr(module, 'groups', 1)
    per = flat.shape[0] // groups
    return torch.cat([flat[g * per:(g + 1) * per] @ norms.view(groups, -1)[g] for g in range(groups)])


def scores_of(name):
    model, vocabulary = open_model(os.path.join(OUT, name))
    names, modules = file_names(model, os.path.join(OUT, name)), dict(model.named_modules())
    watch, is_albert = Watch(model), name.startswith('albert')
    gradients, sums = [], {}
    for i in range(SAMPLES):
        inputs, seen = sample(i, vocabulary, SIDES.get(name))
        model.zero_grad()
        out = model(**inputs) if hasattr(model, 'config') else model(*inputs.values())
        logits = out if torch.is_tensor(out) else out.logits
        torch.nn.functional.cross_entropy(logits, torch.tensor([LABELS[i]])).backward()
        gradients.append({n: p.grad.detach().double().clone() for n, p in model.named_parameters() if p.grad is not None})
        for at, calls in watch.take(seen).items():
            weight = (modules[at].weight if scale_of(modules[at]) is None else scale_of(modules[at])).detach()
            # DeBERTa's layers that are called twice also read what no sample owns; ALBERT's are called once per layer that shares them.
            if vocabulary is not None and (len(calls) > 1 and not is_albert or calls[0][0].shape[0] != 1):
                continue
            for call in calls:
                new = squares(modules[at], *call, weight)
                old = sums.get(at)
                sums[at] = new if old is None else tuple(a + b for a, b in zip(old, new))
    result = {}
    for n, p in model.named_parameters():
        at, _, kind = n.rpartition('.')
        if kind not in ('weight', 'lambda1', 'layer_scale_parameter', 'gamma') or n not in gradients[0]:
            continue
        weight, at = p.detach().double(), n if kind == 'layer_scale_parameter' or kind == 'gamma' and scale_of(modules[at]) is None else at
        # A table with one row stays a table.
        if weight.squeeze().dim() == 1 and not isinstance(modules.get(at), torch.nn.Embedding):
            weight = weight.flatten()
            for g in gradients:
                g[n] = g[n].flatten()
        rows = [(g[n] * weight).flatten(1).sum(1) if weight.dim() > 1 else g[n] * weight for g in gradients]
        mean = sum(g[n] for g in gradients) / SAMPLES * weight
        mean = mean.flatten(1) if mean.dim() > 1 else mean[:, None]
        classes = torch.stack([torch.stack([rows[i] for i in range(SAMPLES) if LABELS[i] == t]).mean(0).abs() for t in sorted(set(LABELS))])
        found = dict(taylor=mean.abs().sum(1), taylor_squared=mean.square().sum(1), taylor_row=mean.sum(1).abs(),
                     fisher=torch.stack(rows).square().mean(0),
                     qm_taylor=torch.quantile(classes, torch.linspace(0, 1, 11, dtype=torch.float64), dim=0).mean(0),
                     class_max_taylor=classes.max(0).values, class_mean_taylor=classes.mean(0))
        if at in sums:
            found |= dict(wanda=wanda(modules[at], weight, sums[at][0]), activation=sums[at][1].sqrt())
        # The norm over all rows, and every eleventh row.
        result[names[n].removesuffix('.weight')] = {m: [float(f'{s.norm().item():.6g}'), *(float(f'{v:.6g}') for v in s[::11][:4].tolist())]
                                                   for m, s in found.items()}
    return result


path = os.path.join(OUT, 'importance_families.json')
kept = json.load(open(path))['folders'] if len(sys.argv) > 2 else {}
golden = dict(torch=torch.__version__, samples=SAMPLES, tokens=TOKENS, sides=SIDES, labels=LABELS, 
              folders={name: kept[name] if len(sys.argv) > 2 and name not in sys.argv[2:] else scores_of(name) for name in FOLDERS})
json.dump(golden, open(path, 'w'), separators=(',', ':'))
print({name: len(found) for name, found in golden['folders'].items()}, os.path.getsize(path))
