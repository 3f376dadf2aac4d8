"""Five values under torch.optim for a few steps with given gradients, to check the naive optimizers of the tests.
run: python make_optimizer_trace.py [folder]"""
import json, os, sys
import torch

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
start = [0.5, -1.25, 2.0, 0.03, -0.7]
gradients = [[0.1, -0.2, 0.3, 1.5, -0.004], [-0.3, 0.05, 0.2, -1.1, 0.002], [0.02, -0.4, -0.6, 0.7, 0.001]]
rate, decay = 0.05, 0.1
cases = dict(
    adamw=lambda p: torch.optim.AdamW(p, lr=rate, betas=(0.9, 0.99), eps=1e-6, weight_decay=decay),
    adam=lambda p: torch.optim.Adam(p, lr=rate, betas=(0.9, 0.99), eps=1e-6, weight_decay=decay),
    sgd=lambda p: torch.optim.SGD(p, lr=rate, weight_decay=decay),
    momentum=lambda p: torch.optim.SGD(p, lr=rate, momentum=0.8, weight_decay=decay))
out = dict(torch=torch.__version__, start=start, gradients=gradients, learning_rate=rate, weight_decay=decay, betas=[0.9, 0.99], epsilon=1e-6,
           momentum=0.8, after={})
for name, make in cases.items():
    p = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = make([p])
    after = []
    for g in gradients:
        p.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
        after.append(p.detach().tolist())
    out['after'][name] = after
json.dump(out, open(os.path.join(OUT, 'optimizer_trace.json'), 'w'), separators=(',', ':'))
