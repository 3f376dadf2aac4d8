"""Runs four AdamW steps for the trace scripts, on some parameters; masks keep some of their rows unchanged."""
import torch

STEPS, EVERY, RATE, RANK, ALPHA = 4, 3, 2e-3, 2, 4


def wave(shape, scale, phase):
    """Returns start values of low-rank factors."""
    at = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(0.7 * at + phase)).float().reshape(shape)


def losses_of(parameters, loss, masks):
    """Returns losses before each step and after the last one. loss: computes it anew; masks: (parameter, factor of its gradient)"""
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
