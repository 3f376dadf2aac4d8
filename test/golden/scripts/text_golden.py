"""Results of models that read images for texts without any."""
import json, os
import torch
from as_json import norm, seeded, summary, tensor


def text_golden(model, folder, meta, seed, below, named=lambda name, values: [(name, values)]):
    """Writes golden.json: the results for a padded batch of two texts. below: the tokens are less than this id; named: returns the (name, values) that
    a gradient has in the folder"""
    ids = torch.randint(3, below, (2, 12), generator=seeded(seed + 2))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    labels = ids.masked_fill(mask == 0, -100)
    model.zero_grad()
    out = model(input_ids=ids, attention_mask=mask, labels=labels)
    out.loss.backward()
    golden = dict(meta=meta, model=type(model).__name__, inputs=dict(input_ids=tensor(ids), attention_mask=tensor(mask)), labels=tensor(labels), loss=norm(out.loss),
                  logits=tensor(out.logits), grads={ours: summary(g) for n, p in model.named_parameters() if p.grad is not None for ours, g in named(n, p.grad)})
    with open(os.path.join(folder, 'golden.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    model.zero_grad()
