"""Writes numbers and tensors in the form of golden files, with generators that make them reproducible."""
import torch

numbers = lambda x: [float(f'{v:.7g}') for v in x.detach().flatten().double().tolist()]
tensor = lambda x: dict(shape=list(x.shape), data=numbers(x) if x.is_floating_point() else x.flatten().tolist())
norm = lambda x: float(f'{x.detach().double().norm().item():.8g}')
seeded = lambda seed: torch.Generator().manual_seed(seed)
# Large tensors, such as gradients.
summary = lambda x: dict(shape=list(x.shape), l2=norm(x), first4=numbers(x.flatten()[:4]))
