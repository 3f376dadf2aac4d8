"""One training (or inference) configuration of a causal language model in PyTorch, alone in its process: prints one JSON line.

    python pytorch_llm.py train --model DIR --method lora --rank 16 --dropout 0.1 [--checkpointing] --threads 1
    python pytorch_llm.py matmul --threads 1
    python pytorch_llm.py versions

DIR is a Hugging Face folder with config.json and safetensors. float32, AdamW, every token but the first of each sequence is a label,
all linear layers of the blocks are trained. Peak memory counts from when the weights are loaded: they are copied off the mapped file,
freed memory goes back to the system, and the kernel's mark is reset before the first step.
"""
import argparse
import ctypes
import gc
import json
import os
import statistics
import time

LINEAR = ('q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj')
METHODS = ('inference', 'full', 'lora', 'dora', 'spsft')


def memory(key):
    """Bytes that /proc/self/status gives for a key: VmRSS (resident now) or VmHWM (its peak)."""
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(key + ':'))


def reset_peak():
    gc.collect()
    ctypes.CDLL('libc.so.6').malloc_trim(0)
    with open('/proc/self/clear_refs', 'w') as marks:
        marks.write('5')


def load(args):
    from transformers import AutoModelForCausalLM
    import torch

    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    model.config.use_cache = False
    return model


def with_rows(model, rows):
    """SPSFT by hand, as fast as autograd lets it be: the trained rows are merged into W, so that the forward pass and the gradient of the
    input are one product each, and only those rows get a weight gradient."""
    import torch
    import torch.nn.functional as F

    class RowLinear(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, rows, weight, index):
            ctx.save_for_backward(x, weight, index)
            return F.linear(x, weight)

        @staticmethod
        def backward(ctx, gradient):
            x, weight, index = ctx.saved_tensors
            of_input = gradient @ weight if ctx.needs_input_grad[0] else None
            of_rows = gradient.index_select(-1, index).flatten(0, -2).t() @ x.flatten(0, -2)
            return of_input, of_rows, None, None

    class TrainedRows(torch.nn.Module):
        def __init__(self, linear):
            super().__init__()
            self.register_buffer('weight', linear.weight.data)
            strongest = torch.topk(self.weight.norm(dim=1), min(rows, linear.out_features)).indices.sort().values
            self.register_buffer('index', strongest)
            self.register_buffer('start', self.weight[strongest].clone())
            self.change = torch.nn.Parameter(torch.zeros_like(self.start))

        def forward(self, x):
            with torch.no_grad():
                self.weight.index_copy_(0, self.index, self.start + self.change)
            return RowLinear.apply(x, self.change, self.weight.detach(), self.index)

    model.requires_grad_(False)
    for layer in model.model.layers:
        for parent in (layer.self_attn, layer.mlp):
            for name in LINEAR:
                if hasattr(parent, name):
                    setattr(parent, name, TrainedRows(getattr(parent, name)))
    return model


def with_adapters(model, args):
    from peft import LoraConfig, get_peft_model

    model.requires_grad_(False)
    config = LoraConfig(
        r=args.rank,
        lora_alpha=16,
        lora_dropout=args.dropout,
        target_modules=list(LINEAR),
        use_dora=args.method == 'dora',
        task_type='CAUSAL_LM',
    )
    return get_peft_model(model, config)


def train(args):
    os.environ['HF_HUB_OFFLINE'] = '1'
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = load(args)
    if args.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={'use_reentrant': False})
    vocabulary = model.config.vocab_size
    if args.method in ('lora', 'dora'):
        model = with_adapters(model, args)
    elif args.method == 'spsft':
        model = with_rows(model, args.rank)
    trains = args.method != 'inference'
    model.train(trains)
    parameters = [p for p in model.parameters() if p.requires_grad] if trains else []
    # As Transformers' Trainer does by default.
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.01, fused=True) if trains else None
    ids = ((torch.arange(args.batch * args.tokens) * 7919 + 13) % vocabulary).view(args.batch, args.tokens)

    def step():
        if not trains:
            with torch.no_grad():
                return model(input_ids=ids, labels=ids).loss.item()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    reset_peak()
    resident = memory('VmRSS')
    seconds, cpu_seconds, losses = [], [], []
    for _ in range(args.warm_up + args.steps):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        losses.append(step())
        seconds.append(time.perf_counter() - begin)
        cpu_seconds.append(time.process_time() - cpu_begin)
    measured = seconds[args.warm_up :]
    return dict(
        trainable=sum(p.numel() for p in parameters),
        secondsPerStep=statistics.median(measured),
        stepSeconds=measured,
        cpuSeconds=sum(cpu_seconds[args.warm_up :]),
        residentBytes=resident,
        peakBytes=memory('VmHWM'),
        losses=losses,
    )


def matmul(args):
    """The product of a linear layer over one batch, in GFLOP/s: the best run of half a second, eight products a run."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(args.threads)
    tokens, features_in, features_out, products = 512, 576, 1536, 8
    x = torch.full((tokens, features_in), 1 / 32)
    weights = [torch.full((features_out, features_in), 1 / 64) for _ in range(products)]
    best, started = float('inf'), time.perf_counter()
    with torch.no_grad():
        while time.perf_counter() - started < 1:
            begin = time.perf_counter()
            for weight in weights:
                F.linear(x, weight)
            best = min(best, time.perf_counter() - begin)
    return dict(gflops=2 * tokens * features_in * features_out * products / best / 1e9)


def versions(_):
    import sys
    from importlib.metadata import version

    return dict(python=sys.version.split()[0], **{name: version(name) for name in ('torch', 'transformers', 'peft')})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for command in (train, matmul, versions):
        sub = commands.add_parser(command.__name__)
        sub.set_defaults(run=command)
        sub.add_argument('--threads', type=int, default=1)
        if command is train:
            sub.add_argument('--model', required=True)
            sub.add_argument('--method', choices=METHODS, required=True)
            sub.add_argument('--rank', type=int, default=16)
            sub.add_argument('--dropout', type=float, default=0.0)
            sub.add_argument('--checkpointing', action='store_true')
            sub.add_argument('--batch', type=int, default=2)
            sub.add_argument('--tokens', type=int, default=256)
            sub.add_argument('--steps', type=int, default=5)
            sub.add_argument('--warm-up', type=int, default=2)
    args = parser.parse_args()
    print(json.dumps(args.run(args)))


if __name__ == '__main__':
    main()
