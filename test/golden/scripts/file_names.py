"""Maps parameters to their names in files, because Transformers 5 renames some of them in memory."""
import os
import torch
from safetensors.torch import load_file


def file_names(model, folder):
    """Maps names in memory to names in the file; halves that the file holds in one tensor have its name followed by #0 or #1."""
    file = load_file(os.path.join(folder, 'model.safetensors'))
    found = {}
    if type(model).__name__.startswith(('OlmoHybrid', 'GPT2', 'NomicBert', 'Gte', 'Esm')):
        # Files join queries, keys and values, hold convolutions in parts, give norms or their parameters other names, or leave out a prefix; our names are those in memory.
        return {name: name for name, _ in model.named_parameters()}
    for name, p in model.named_parameters():
        same = [name] if name in file else [k for k, v in file.items() if v.shape == p.shape and torch.equal(v, p.detach())]
        if not same:
            same = [f'{k}#{i}' for k, v in file.items() if v.dim() == p.dim() and v.shape[0] == 2 * p.shape[0] for i, half in enumerate(v.chunk(2))
                    if half.shape == p.shape and torch.equal(half, p.detach())]
        assert len(same) == 1, (name, same)
        found[name] = same[0]
    return found


def joined(tensors):
    """Returns tensors by their names in the file, with halves joined."""
    whole = {name.split('#')[0] for name in tensors}
    return {name: tensors[name] if name in tensors else torch.cat([tensors[f'{name}#0'], tensors[f'{name}#1']]) for name in sorted(whole)}
