"""One training (or inference) configuration in PyTorch, Transformers and PEFT, alone in its process: prints one JSON line.

    python pytorch_peft.py train --model DIR --method lora --rank 16 --dropout 0.1 [--checkpointing | --compile] [--dtype bfloat16] --threads 1
    python pytorch_peft.py matmul --dtype bfloat16 --threads 1
    python pytorch_peft.py versions

DIR is a Hugging Face folder with config.json and safetensors; the batch follows from its kind. AdamW; of a language model every token but
the first of each sequence is a label and all linear layers of the blocks are trained, of a classifier also all convolutions, and the head
whole. Batch norm keeps its running statistics. Peak memory counts from when the weights are loaded: they are copied off the mapped file,
freed memory goes back to the system, and the kernel's mark is reset before the first step. On a GPU it is what the driver counts, or with
`--count allocator` the most that PyTorch's allocator had given out, weights included.
"""
import argparse
import contextlib
import ctypes
import gc
import json
import os
import re
import statistics
import subprocess
import time

METHODS = ('inference', 'full', 'lora', 'dora', 'shira', 'spsft')
# 'autocast': float32 weights with bfloat16 products, like Trainer's bf16.
DTYPES = ('float32', 'bfloat16', 'autocast')
# Layers between the last block and the output, which PEFT's `all-linear` excludes; a BERT's pooler counts as part of its head.
HEAD = re.compile(r'(^|\.)(lm_head|classifier|score|pooler)(\.|$)')


def memory(key):
    """Returns the bytes of a key in /proc/self/status: VmRSS (resident now) or VmHWM (its peak)."""
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(key + ':'))


def gpu_memory(count):
    """Returns bytes on the first GPU: the peak that PyTorch allocated since the last reset, or the driver's current count.
    Allocators keep freed memory, so the driver's final count is the peak."""
    if count == 'allocator':
        import torch

        return torch.cuda.max_memory_allocated()
    asked = ['nvidia-smi', '--id=0', '--query-gpu=memory.used', '--format=csv,noheader,nounits']
    return int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[0]) * 2**20


def reset_peak():
    gc.collect()
    ctypes.CDLL('libc.so.6').malloc_trim(0)
    with open('/proc/self/clear_refs', 'w') as marks:
        marks.write('5')


def device_of(args):
    import torch

    if args.device == 'gpu' and not torch.cuda.is_available():
        raise SystemExit(f'PyTorch {torch.__version__} sees no CUDA GPU; ROWTUNE_PYTHON can name a Python whose PyTorch does')
    return 'cuda' if args.device == 'gpu' else 'cpu'


def load(args):
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(args.model)
    kind = config.architectures[0]
    task = next(task for task in ('CausalLM', 'SequenceClassification', 'ImageClassification') if kind.endswith('For' + task))
    dtype = torch.bfloat16 if args.dtype == 'bfloat16' else torch.float32
    model = getattr(transformers, 'AutoModelFor' + task).from_pretrained(args.model, dtype=dtype)
    if args.device == 'cpu':
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data = tensor.data.clone()
    model.config.use_cache = False
    return model.to(device_of(args)), task


def batch_of(model, task, args):
    """Returns the same values as bench/batch-feeds.ts."""
    import torch

    config = model.config
    if task == 'ImageClassification':
        side, channels = getattr(config, 'image_size', 224), config.num_channels
        places = torch.arange(args.batch * side * side * channels)
        pixels = (((places * 37) % 200) / 100 - 1).view(args.batch, side, side, channels)
        inputs = dict(pixel_values=pixels.permute(0, 3, 1, 2).contiguous().to(model.dtype))
    else:
        ids = ((torch.arange(args.batch * args.tokens) * 7919 + 13) % config.vocab_size).view(args.batch, args.tokens)
        inputs = dict(input_ids=ids, attention_mask=torch.ones_like(ids)) if task == 'SequenceClassification' else dict(input_ids=ids)
    labels = inputs['input_ids'] if task == 'CausalLM' else torch.arange(args.batch) % config.num_labels
    return {name: value.to(model.device) for name, value in (*inputs.items(), ('labels', labels))}


def layers_of(model):
    """Returns the names of the tuned linear layers and convolutions, and of the layer that computes the logits."""
    import torch.nn as nn

    kinds = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    return [name for name in kinds if not HEAD.search(name)], kinds[-1]


def with_rows(model, rows):
    """SPSFT by hand, as fast as autograd allows: the trained rows are merged into W, so that the forward pass and the input
    gradient are one product each, and only those rows get a weight gradient. For linear layers without bias."""
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
    for name in layers_of(model)[0]:
        parent, _, leaf = name.rpartition('.')
        setattr(model.get_submodule(parent), leaf, TrainedRows(model.get_submodule(name)))
    return model


def with_adapters(model, task, args):
    from peft import LoraConfig, ShiraConfig, get_peft_model
    import torch.nn as nn

    targets, head = layers_of(model)
    if args.method in ('dora', 'shira'):
        # SHiRA supports only linear layers, and so does our DoRA; if there are only convolutions, PEFT's DoRA uses them.
        targets = [name for name in targets if isinstance(model.get_submodule(name), nn.Linear)] or targets
    common = dict(r=args.rank, target_modules=targets, modules_to_save=None if task == 'CausalLM' else [head])
    if args.method == 'shira':
        config = ShiraConfig(**common)
    else:
        # Experts are parameters with three axes, which PEFT targets by name.
        experts = [name for name, tensor in model.named_parameters() if tensor.dim() == 3 and '.experts.' in name]
        config = LoraConfig(**common, lora_alpha=16, lora_dropout=args.dropout, use_dora=args.method == 'dora', target_parameters=experts or None)
    model.requires_grad_(False)
    return get_peft_model(model, config)


def train(args):
    os.environ['HF_HUB_OFFLINE'] = '1'
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model, task = load(args)
    batch = batch_of(model, task, args)
    if args.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={'use_reentrant': False})
    if args.method in ('lora', 'dora', 'shira'):
        model = with_adapters(model, task, args)
    elif args.method == 'spsft':
        model = with_rows(model, args.rank)
    trains = args.method != 'inference'
    model.train(trains)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    parameters = [p for p in model.parameters() if p.requires_grad] if trains else []
    # As Transformers' Trainer does by default.
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.01, fused=True) if trains else None
    run = torch.compile(model) if args.compile else model

    def attention():
        if args.attention is None:
            return contextlib.nullcontext()
        from torch.nn.attention import SDPBackend, sdpa_kernel

        return sdpa_kernel(SDPBackend.FLASH_ATTENTION)

    def loss_of():
        with torch.autocast(device_of(args), torch.bfloat16, enabled=args.dtype == 'autocast'):
            return run(**batch).loss

    def step():
        with attention():
            return one_step()

    def one_step():
        if not trains:
            with torch.no_grad():
                return loss_of().item()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    on_gpu = args.device == 'gpu'
    reset_peak()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    resident = gpu_memory(args.count) if on_gpu else memory('VmRSS')
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
        firstStepSeconds=seconds[0],
        cpuSeconds=sum(cpu_seconds[args.warm_up :]),
        residentBytes=resident,
        peakBytes=gpu_memory(args.count) if on_gpu else memory('VmHWM'),
        losses=losses,
    )


def matmul(args):
    """Returns the rate of one batch through a linear layer in GFLOP/s: the best of half a second, with eight products per run."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(args.threads)
    tokens, features_in, features_out, products = 512, 576, 1536, 8
    options = dict(dtype=torch.float32 if args.dtype == 'float32' else torch.bfloat16, device=device_of(args))
    x = torch.full((tokens, features_in), 1 / 32, **options)
    weights = [torch.full((features_out, features_in), 1 / 64, **options) for _ in range(products)]
    best, started = float('inf'), time.perf_counter()
    with torch.no_grad():
        while time.perf_counter() - started < 1:
            begin = time.perf_counter()
            for weight in weights:
                F.linear(x, weight)
            if args.device == 'gpu':
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - begin)
    return dict(gflops=2 * tokens * features_in * features_out * products / best / 1e9)


def versions(args):
    import sys
    from importlib.metadata import version

    found = dict(python=sys.version.split()[0], **{name: version(name) for name in ('torch', 'transformers', 'peft')})
    if device_of(args) == 'cuda':
        import torch

        found['PyTorch on'] = torch.cuda.get_device_name(0)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for command in (train, matmul, versions):
        sub = commands.add_parser(command.__name__)
        sub.set_defaults(run=command)
        sub.add_argument('--threads', type=int, default=1)
        sub.add_argument('--device', choices=('cpu', 'gpu'), default='cpu')
        sub.add_argument('--dtype', choices=DTYPES, default='float32')
        if command is train:
            sub.add_argument('--model', required=True)
            sub.add_argument('--method', choices=METHODS, required=True)
            sub.add_argument('--rank', type=int, default=16)
            sub.add_argument('--dropout', type=float, default=0.0)
            sub.add_argument('--checkpointing', action='store_true')
            sub.add_argument('--compile', action='store_true')
            sub.add_argument('--attention', choices=('flash',))
            sub.add_argument('--count', choices=('driver', 'allocator'), default='driver')
            sub.add_argument('--batch', type=int, default=2)
            sub.add_argument('--tokens', type=int, default=256)
            sub.add_argument('--steps', type=int, default=5)
            sub.add_argument('--warm-up', type=int, default=2)
    args = parser.parse_args()
    print(json.dumps(args.run(args)))


if __name__ == '__main__':
    main()
