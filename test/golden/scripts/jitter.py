"""Numbers that matter in every tensor: a new model has zeros for biases and ones for norms."""
import torch
from as_json import seeded


def jitter(model, seed):
    """Adds 0.05 · randn to each parameter, and moves the running statistics of batch norms."""
    generator = seeded(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=generator))
        for name, b in model.named_buffers():
            if name.endswith('running_mean'):
                b.add_(0.1 * torch.randn(b.shape, generator=generator))
            if name.endswith('running_var'):
                b.mul_(1 + 0.3 * torch.rand(b.shape, generator=generator))
    return model.eval()
