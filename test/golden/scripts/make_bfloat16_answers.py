"""Logits of decoders that Transformers holds and computes in bfloat16, with its cache: after a prompt and after each further token; and how
far they are from the logits in float32. Deterministic (1 thread). run: OMP_NUM_THREADS=1 python make_bfloat16_answers.py [folder]"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from open_model import open_model

torch.set_num_threads(1)
GOLDEN = os.path.join(os.path.dirname(__file__), '..')
OUT = sys.argv[1] if len(sys.argv) > 1 else GOLDEN
FOLDERS = ['qwen3_5', 'lfm2']
PROMPT, STEPS = 20, 8


def types_of(cache):
    """The element type of each part of a cache."""
    types = {}
    for layer in cache.layers:
        for part in ('keys', 'values', 'conv_states', 'recurrent_states'):
            held = getattr(layer, part, None)
            held = held.get(0) if isinstance(held, dict) else held
            if held is not None:
                types.setdefault(part, set()).add(str(held.dtype).removeprefix('torch.'))
    return {part: ' or '.join(sorted(own)) for part, own in types.items()}


@torch.no_grad()
def logits_of(name, dtype):
    model, vocabulary = open_model(os.path.join(GOLDEN, name), dtype=dtype, attn_implementation='eager')
    ids = torch.tensor([[(i * 37 + 11) % vocabulary for i in range(PROMPT + STEPS)]])
    step = model(ids[:, :PROMPT], use_cache=True)
    rows, cache = [step.logits[0, -1]], step.past_key_values
    for token in range(PROMPT, PROMPT + STEPS):
        step = model(ids[:, token:token + 1], past_key_values=cache, use_cache=True)
        rows.append(step.logits[0, -1])
    return torch.stack(rows).float(), types_of(cache)


found = {}
for name in FOLDERS:
    (own, types), (exact, _) = logits_of(name, torch.bfloat16), logits_of(name, torch.float32)
    found[name] = dict(types=types, fromFloat32=round((own - exact).abs().max().item(), 6), logits=[[round(x, 6) for x in row] for row in own.tolist()])
    print(name, types, 'largest logit', own.abs().max().item(), 'from float32', found[name]['fromFloat32'])
meta = dict(torch=torch.__version__, transformers=transformers.__version__)
with open(os.path.join(OUT, 'bfloat16_answers.json'), 'w') as file:
    lines = ',\n'.join(f'{json.dumps(name)}:{json.dumps(entry)}' for name, entry in found.items())
    file.write(f'{{"meta":{json.dumps(meta)},"prompt":{PROMPT},"folders":{{\n{lines}}}}}\n')
