"""Mixtures of experts with PyTorch: four AdamW steps for all parameters except the routers', every third row (SPSFT) and low-rank factors of
attention (LoRA), and row scores by data and gradients from PyTorch's own gradients, sample by sample. Expert matrices have our names,
stacked in one matrix. Deterministic (1 thread).
run: OMP_NUM_THREADS=1 python make_expert_traces.py      (writes ../expert_traces.json)"""
import json, os, re
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from four_steps import ALPHA, EVERY, RANK, RATE, losses_of, wave
from make_expert_families import parts_of
from torch.func import functional_call
from transformers import AutoConfig

torch.set_num_threads(1)
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
FOLDERS = ['mixtral', 'qwen3_moe', 'qwen3_5_moe', 'qwen3_next', 'gpt_oss', 'gemma4_experts', 'lfm2_moe', 'glm4_moe', 'deepseek_v3', 'mistral4', 'ernie4_5_moe', 'afmoe', 'mellum', 'olmoe', 'granite4_experts', 'granitemoe', 'qwen2_moe', 'cohere2_moe', 'nemotron_h_experts', 'flint', 'kolibri1']
BATCH, TOKENS = 2, 12
IDS = torch.tensor([[3 + (7 * i * i + 3 * t * t + 11 * i * t + 5) % 61 for t in range(TOKENS)] for i in range(BATCH)])
ROUTER = re.compile(r'((mlp|feed_forward|mixer)\.gate|shared_expert_gate|\brouter)\.')


def opened(name):
    folder = os.path.join(OUT, name)
    model_class = getattr(transformers, AutoConfig.from_pretrained(folder).architectures[0])
    return model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager').eval()


def ours_of(model, name):
    """The name in files of a module."""
    return parts_of(model, f'{name}.weight', None)[0][0].removesuffix('.weight')


def loss_of(model, changed, ids=IDS):
    return functional_call(model, changed, kwargs=dict(input_ids=ids, labels=ids)).loss


def train(model, parameters, weights, masks):
    return losses_of(parameters, lambda: loss_of(model, weights()), masks)


def marked(model, name, p):
    """Returns a mask of every third row of each of our matrices inside a parameter, and their names."""
    inside, names = torch.zeros_like(p), []
    # The parts are views of the parameter, so writing to them writes to it.
    numbered = torch.arange(p.numel(), dtype=torch.float64).reshape(p.shape)
    for ours, part in parts_of(model, name, numbered):
        rows = part[torch.arange(part.shape[0]) % EVERY == 0]
        inside.view(-1)[rows.flatten().long()] = 1
        names.append(ours)
    return inside, names


def traces(name):
    result = {}
    model = opened(name)
    for key, p in model.named_parameters():
        p.requires_grad_(not ROUTER.search(key))
    result['full'] = train(model, [p for p in model.parameters() if p.requires_grad], dict, [])
    model = opened(name)
    masks, rows = [], []
    for key, p in model.named_parameters():
        p.requires_grad_(bool(re.search(r'_proj(\.weight|\.bias|_bias)?$', key)))
        if p.requires_grad:
            mask, names = marked(model, key, p)
            masks.append((p, mask))
            rows += [n.removesuffix('.weight') for n in names if n.endswith('.weight')]
    result['rows'] = rows
    result['spsft'] = train(model, [p for p, _ in masks], dict, masks)
    model = opened(name)
    model.requires_grad_(False)
    factors = {}
    for at, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and re.search(r'self_attn|mixer\.[qkvo]_proj', at):
            length = len(ours_of(model, at))
            a, b = wave((RANK, module.weight.shape[1]), 0.1, length), wave((module.weight.shape[0], RANK), 0.1, length + 1)
            factors[f'{at}.weight'] = (a.requires_grad_(), b.requires_grad_())
    merged = lambda: {key: model.get_parameter(key) + ALPHA / RANK * (b @ a) for key, (a, b) in factors.items()}
    result['low_rank'] = [ours_of(model, key.removesuffix('.weight')) for key in factors]
    result['lora'] = train(model, [f for pair in factors.values() for f in pair], merged, [])
    result.update(lora_of_experts(name))
    return result


def lora_of_experts(name):
    """Low-rank factors of each expert: A [experts · rank, in] and B [experts · out, rank], stacked by expert."""
    model = opened(name)
    model.requires_grad_(False)
    factors, names = {}, []
    for key, p in model.named_parameters():
        if 'experts' not in key or p.dim() != 3:
            continue
        numbered = torch.arange(p.numel(), dtype=torch.float64).reshape(p.shape)
        for ours, places in parts_of(model, key, numbered):
            at, experts = ours.removesuffix('.weight'), p.shape[0]
            a, b = wave((experts * RANK, places.shape[1]), 0.1, len(at)), wave((places.shape[0], RANK), 0.1, len(at) + 1)
            factors.setdefault(key, []).append((places.flatten().long(), a.requires_grad_(), b.requires_grad_(), experts))
            names.append(at)

    def merged():
        changed = {}
        for key, parts in factors.items():
            p = model.get_parameter(key)
            flat = p.flatten()
            for places, a, b, experts in parts:
                product = torch.cat([b_e @ a_e for b_e, a_e in zip(b.chunk(experts), a.chunk(experts))])
                flat = flat.index_add(0, places, ALPHA / RANK * product.flatten())
            changed[key] = flat.reshape(p.shape)
        return changed

    trained = [f for parts in factors.values() for _, a, b, _ in parts for f in (a, b)]
    return dict(low_rank_experts=names, lora_experts=train(model, trained, merged, []))


def scores(name):
    """Returns the norm over all rows, and every eleventh row, of each measure."""
    model = opened(name)
    weights = {ours: part.detach().double().clone() for n, p in model.named_parameters() for ours, part in parts_of(model, n, p) if part.dim() == 2}
    samples = []
    for i in range(BATCH):
        model.zero_grad()
        loss_of(model, {}, IDS[i:i + 1]).backward()
        samples.append({ours: g.double().clone() for n, p in model.named_parameters() if p.grad is not None
                        for ours, g in parts_of(model, n, p.grad) if g.dim() == 2})
    result = {}
    for ours, weight in weights.items():
        if not re.search(r'experts|_proj', ours):
            continue
        products = [sample[ours] * weight for sample in samples]
        mean = sum(products) / BATCH
        found = dict(taylor=mean.abs().sum(1), taylor_squared=mean.square().sum(1), taylor_row=mean.sum(1).abs(),
                     fisher=torch.stack([p.sum(1) for p in products]).square().mean(0))
        result[ours.removesuffix('.weight')] = {m: [float(f'{s.norm().item():.6g}'), *(float(f'{v:.6g}') for v in s[::11][:6].tolist())] for m, s in found.items()}
    for ours, squares in seen_squares(model).items():
        weight = weights[f'{ours}.weight'].abs()
        experts = squares.shape[0]
        s = torch.cat([w @ norms for w, norms in zip(weight.chunk(experts), squares.sqrt())])
        result[ours]['wanda'] = [float(f'{s.norm().item():.6g}'), *(float(f'{v:.6g}') for v in s[::11][:6].tolist())]
    return result


def seen_squares(model):
    """Returns Σ x² of the inputs of each expert's first products, [experts, inputs], by name of the stack."""
    found = {}
    for at, module in model.named_modules():
        if not hasattr(module, 'num_experts') or not at.endswith('.experts'):
            continue

        def note(m, args, kwargs=None, at=at):
            x, index = args[0].reshape(-1, args[0].shape[-1]), args[1]
            squares = torch.stack([x[(index == e).any(-1)].double().square().sum(0) for e in range(m.num_experts)])
            block = at.removesuffix('.experts').removesuffix('.mlp').removesuffix('.feed_forward').removesuffix('.block_sparse_moe').removesuffix('.mixer')
            qwen = ['mlp.experts.gate_proj', 'mlp.experts.up_proj']
            inner = {'mixtral': ['block_sparse_moe.experts.w1', 'block_sparse_moe.experts.w3'], 'gpt_oss': ['mlp.experts.gate_up_proj'],
                     'qwen2_moe': qwen, 'cohere2_moe': qwen, 'flint': qwen, 'kolibri1': qwen, 'qwen3_moe': qwen, 'qwen3_5_moe_text': qwen, 'qwen3_next': qwen, 'glm4_moe': qwen, 'deepseek_v3': qwen, 'mistral4': qwen, 'ernie4_5_moe': qwen, 'afmoe': qwen, 'mellum': qwen, 'olmoe': qwen,
                     'lfm2_moe': ['feed_forward.experts.w1', 'feed_forward.experts.w3'],
                     **dict.fromkeys(('granitemoe', 'granitemoehybrid'), ['block_sparse_moe.experts.gate_proj', 'block_sparse_moe.experts.up_proj']),
                     'nemotron_h': ['mixer.experts.up_proj'], 'gemma4_text': ['experts.gate_proj', 'experts.up_proj']}[model.config.model_type]
            for last in inner:
                found[f'{ours_of(model, block)}.{last}'] = squares
        module.register_forward_pre_hook(note)
    with torch.no_grad():
        model(input_ids=IDS)
    return found


folders = {name: dict(**traces(name), scores=scores(name)) for name in FOLDERS}
path = os.path.join(OUT, 'expert_traces.json')
json.dump(dict(torch=torch.__version__, transformers=transformers.__version__, every=EVERY, rate=RATE, rank=RANK, alpha=ALPHA,
               input_ids=dict(shape=[BATCH, TOKENS], data=IDS.flatten().tolist()), folders=folders), open(path, 'w'), separators=(',', ':'))
for name, found in folders.items():
    print(name, {k: found[k] for k in ('full', 'spsft', 'lora')})
print(os.path.getsize(path))
