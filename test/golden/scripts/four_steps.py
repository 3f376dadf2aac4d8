"""Four steps of AdamW for the trace scripts: by some parameters, of which masks keep some rows still."""
import torch

STEPS, EVERY, RATE, RANK, ALPHA = 4, 3, 2e-3, 2, 4


def wave(shape, scale, phase):
    """Start values of low-rank factors."""
    at = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(0.7 * at + phase)).float().reshape(shape)


def losses_of(parameters, loss, masks):
    """Losses before each step and after the last. loss: computes it anew; masks: (parameter, what its gradient is multiplied by)"""
    optimizer, losses = torch.optim.AdamW(parameters, lr=RATE, eps=1e-8, weight_decay=0.0), []
    for _ in range(STEPS + 1):
        optimizer.zero_grad()
        now = loss()
        now.backward()
        losses.append(float(f'{now.item():.7g}'))
        for parameter, mask in masks:
            if parameter.grad is not None:
                parameter.grad *= mask
        optimizer.step()
    return losses
