"""Row scores of decoders for the measures that use data, from PyTorch's own gradients: element-wise ones and taylor_row from one batch with
padding on the right and masked targets, the others sample by sample without padding, so that padding cannot count.
Deterministic (1 thread). Samples follow from formulas, so none are stored.
run: OMP_NUM_THREADS=1 python make_importance_decoders.py [folder]"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch
from file_names import file_names, joined
from open_model import open_model

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
# Norms per head; the same as distances from 1, with windows; blocks that read keys and values of others, with an input for each; and rows
# of queries, keys and values (or gate and up) in one layer; a multiplier before and after every layer.
FOLDERS = ['qwen3', 'qwen3_5', 'olmo_hybrid', 'lfm2', 'cohere2', 'falcon_h1', 'gemma3', 'gemma4', 'phi3']
# Tokens of each sample, and the number at its start that are not targets.
LENGTHS, PROMPTS = [11, 4, 7, 9], [5, 1, 3, 2]


def sample(i, vocabulary):
    ids = [1 + (7 * i * i + 3 * t * t + 11 * i * t + 5) % (vocabulary - 1) for t in range(LENGTHS[i])]
    return ids, [token if t >= PROMPTS[i] else -100 for t, token in enumerate(ids)]


def batch_of(indices, vocabulary):
    """Returns the samples with padding on the right, up to the longest."""
    samples = [sample(i, vocabulary) for i in indices]
    longest = max(len(ids) for ids, _ in samples)
    fill = lambda values, by: values + [by] * (longest - len(values))
    rows = dict(input_ids=[fill(ids, 0) for ids, _ in samples], labels=[fill(labels, -100) for _, labels in samples],
                attention_mask=[fill([1] * len(ids), 0) for ids, _ in samples])
    return {name: torch.tensor(values) for name, values in rows.items()}


# Norms that multiply by a gate after them, which does not belong to them.
GATED = ('Qwen3_5RMSNormGated', 'OlmoHybridRMSNormGated')


def normed(module, x):
    return module.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + module.variance_epsilon)


def scores_of(name):
    model, vocabulary = open_model(os.path.join(OUT, name))
    names, watched = file_names(model, os.path.join(OUT, name)), {}
    is_watching = [False]

    def watch(at):
        def hook(module, args, out):
            if not is_watching[0]:
                return
            read = args[0] if isinstance(module, torch.nn.Linear) else normed(module, args[0]) if type(module).__name__ in GATED else out
            square = read.detach().double().square().flatten(0, -2).sum(0)
            if isinstance(module, torch.nn.Embedding):
                square = torch.bincount(args[0].flatten(), minlength=vocabulary).double()
            watched[at] = watched.get(at, 0) + square
        return hook

    modules = dict(model.named_modules())
    for at, module in modules.items():
        if isinstance(getattr(module, 'weight', None), torch.Tensor):
            module.register_forward_hook(watch(at))

    def gradients(indices):
        model.zero_grad()
        model(**batch_of(indices, vocabulary)).loss.backward()
        return {n: p.grad.detach().double().clone() for n, p in model.named_parameters()}

    whole = gradients(range(len(LENGTHS)))
    is_watching[0] = True
    single = [gradients([i]) for i in range(len(LENGTHS))]
    result = {}
    for n, p in model.named_parameters():
        at = n.removesuffix('.weight')
        # Parameters that are used directly, and filters over tokens.
        if at not in modules or isinstance(modules[at], torch.nn.Conv1d):
            continue
        # Gemma's norms multiply by their weight plus 1.
        weight = p.detach().double() + (1 if type(modules[at]).__name__ in ('Gemma3RMSNorm', 'Qwen3_5RMSNorm') else 0)
        products = (lambda g: (g * weight).reshape(weight.shape[0], -1))
        if weight.dim() == 1:
            wanda = watched[at].sqrt()
        else:
            wanda = watched[at].sqrt() * weight.abs().sum(1) if isinstance(modules[at], torch.nn.Embedding) else weight.abs() @ watched[at].sqrt()
        result[names[n]] = dict(taylor=products(whole[n]).abs().sum(1), taylor_row=products(whole[n]).sum(1).abs(),
                                fisher=torch.stack([products(g[n]).sum(1) for g in single]).square().mean(0), wanda=wanda)
    by_measure = {m: joined({n: found[m] for n, found in result.items()}) for m in ('taylor', 'taylor_row', 'fisher', 'wanda')}
    # The norm over all rows, and every eleventh row.
    numbers = lambda s: [float(f'{s.norm().item():.6g}'), *(float(f'{v:.6g}') for v in s[::11][:8].tolist())]
    return {n.removesuffix('.weight'): {m: numbers(found[n]) for m, found in by_measure.items()} for n in by_measure['taylor']}


path = os.path.join(OUT, 'importance_decoders.json')
golden = dict(torch=torch.__version__, lengths=LENGTHS, prompts=PROMPTS, folders={name: scores_of(name) for name in FOLDERS})
json.dump(golden, open(path, 'w'), separators=(',', ':'))
print({name: len(found) for name, found in golden['folders'].items()}, os.path.getsize(path))
