"""8,192 values under AdamW with 8-bit moments of bitsandbytes and with float32 moments of PyTorch, for ten steps with given gradients:
the reference for the trainer's 8-bit moments. Every 64th value is stored.
run: python make_eight_bit_trace.py [folder], with torch and bitsandbytes 0.50.2 (its CPU library is sufficient)"""
import json, os, sys
import numpy as np
import torch
import bitsandbytes

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
ROWS, COLUMNS, STEPS, EVERY = 32, 256, 10, 64
rate, decay, betas, epsilon = 0.01, 0.01, (0.9, 0.999), 1e-8
i = np.arange(ROWS * COLUMNS, dtype=np.float64)
start = 0.1 * np.sin(0.11 * i)
# Gradients over this many decades within each block of 256 values.
gradient = lambda step, decades: 10 ** (-decades * ((i * 7919) % 997) / 997) * np.sin(1 + 0.37 * i + 0.5 * step)
as_tensor = lambda x: torch.tensor(x.reshape(ROWS, COLUMNS), dtype=torch.float32)

settings = dict(lr=rate, betas=betas, eps=epsilon, weight_decay=decay)

def trained(make, decades):
    p = torch.nn.Parameter(as_tensor(start))
    optimizer = make([p], **settings)
    steps = []
    for step in range(1, STEPS + 1):
        p.grad = as_tensor(gradient(step, decades))
        optimizer.step()
        steps.append([float(f'{x:.9g}') for x in p.detach().flatten()[::EVERY].tolist()])
    if make is bitsandbytes.optim.AdamW8bit:
        assert optimizer.state[p]['state1'].dtype == torch.uint8
    return steps

cases = [dict(decades=d, bitsandbytes=trained(bitsandbytes.optim.AdamW8bit, d), torch=trained(torch.optim.AdamW, d)) for d in (1, 4)]
json.dump(dict(torch=torch.__version__, bitsandbytes=bitsandbytes.__version__, rows=ROWS, columns=COLUMNS, every=EVERY, learning_rate=rate,
               weight_decay=decay, betas=betas, epsilon=epsilon, cases=cases),
          open(os.path.join(OUT, 'eight_bit_trace.json'), 'w'), separators=(',', ':'))
