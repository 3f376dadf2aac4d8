"""Transformers 5 renames some parameters in memory; what is written of a parameter goes under the name that its file has."""
import os
import torch
from safetensors.torch import load_file


def file_names(model, folder):
    file = load_file(os.path.join(folder, 'model.safetensors'))
    found = {}
    for name, p in model.named_parameters():
        same = [name] if name in file else [k for k, v in file.items() if v.shape == p.shape and torch.equal(v, p.detach())]
        assert len(same) == 1, (name, same)
        found[name] = same[0]
    return found
