"""DPO with LoRA by TRL's DPOTrainer, alone in its process: prints one JSON line.

    python trl_dpo.py train --model DIR --rank 16 --pairs 2 --prompt 64 --tokens 256 [--checkpointing] [--precompute] --threads 2
    python trl_dpo.py inference --model DIR --pairs 2 --tokens 256 --threads 2
    python trl_dpo.py versions

The pairs are the very token ids of bench/preferences/preference-step.ts, in their order. The reference is the model without its adapter, computed in
each step, or with `--precompute` for all pairs before the first. Memory counts as in pytorch_peft.py.
"""
import argparse
import json
import os
import tempfile
import time

os.environ['HF_HUB_OFFLINE'] = '1'

from pytorch_peft import layers_of, load, memory, reset_peak


def ids(vocab, start, count):
    return [(start * 29 + i * 37 + 5) % (vocab - 3) + 3 for i in range(count)]


def pairs_of(vocab, args, count):
    answer = args.tokens - args.prompt
    return [
        dict(prompt_ids=ids(vocab, 3 * k, args.prompt), chosen_ids=ids(vocab, 3 * k + 1, answer), rejected_ids=ids(vocab, 3 * k + 2, answer))
        for k in range(count)
    ]


def tokenizer_of(vocab):
    """A tokenizer for the trainer, which only reads its padding token; nothing is tokenized."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {f'w{i}': i for i in range(vocab)}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, unk_token='w1')), pad_token='w0', eos_token='w2', unk_token='w1')


def trainer_of(model, args, folder):
    import torch
    import transformers
    import trl
    from datasets import Dataset
    from peft import LoraConfig

    class OnIds(trl.DPOTrainer):
        """Trains on pairs of token ids unchanged, in their order."""

        def _prepare_dataset(self, dataset, *_, **__):
            return dataset

        def _get_train_sampler(self, *_, **__):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    class StepClock(transformers.TrainerCallback):
        def __init__(self):
            self.seconds, self.cpu_seconds = [], []

        def on_step_begin(self, *_, **__):
            self.began, self.cpu_began = time.perf_counter(), time.process_time()

        def on_step_end(self, *_, **__):
            self.seconds.append(time.perf_counter() - self.began)
            self.cpu_seconds.append(time.process_time() - self.cpu_began)

    vocab, steps = model.config.vocab_size, args.warm_up + args.steps
    model.generation_config.pad_token_id = 0
    settings = trl.DPOConfig(
        output_dir=folder,
        per_device_train_batch_size=args.pairs,
        max_steps=steps,
        learning_rate=1e-4,
        lr_scheduler_type='constant',
        weight_decay=0.0,
        beta=0.1,
        max_grad_norm=1.0,
        max_length=args.tokens,
        gradient_checkpointing=args.checkpointing,
        precompute_ref_log_probs=args.precompute,
        precompute_ref_batch_size=args.pairs,
        logging_steps=1,
        save_strategy='no',
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    adapter = LoraConfig(r=args.rank, target_modules=layers_of(model)[0], lora_alpha=16, lora_dropout=0.0, task_type='CAUSAL_LM')
    clock = StepClock()
    trainer = OnIds(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list(pairs_of(vocab, args, args.pairs * steps)),
        processing_class=tokenizer_of(vocab),
        peft_config=adapter,
        callbacks=[clock],
    )
    return trainer, clock


def opened(args):
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    # Import here what a run imports, so that both measurements include it.
    import datasets, peft, trl  # noqa: F401

    model, _ = load(args)
    reset_peak()
    return model, memory('VmRSS')


def train(args):
    model, resident = opened(args)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        trainer, clock = trainer_of(model, args, folder)
        if args.precompute:
            trainer.get_train_dataloader()
        prepared = time.perf_counter() - began
        trainer.train()
    logged = [line for line in trainer.state.log_history if 'loss' in line]
    return dict(
        trainable=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        stepSeconds=clock.seconds[args.warm_up :],
        cpuSeconds=sum(clock.cpu_seconds[args.warm_up :]),
        referenceSeconds=prepared if args.precompute else None,
        residentBytes=resident,
        peakBytes=memory('VmHWM'),
        losses=[line['loss'] for line in logged],
        logps=logged[0]['logps/chosen'],
    )


def inference(args):
    import torch

    model, resident = opened(args)
    rows = [ids(model.config.vocab_size, row, args.tokens) for row in range(2 * args.pairs)]
    model.eval()
    with torch.no_grad():
        for _ in range(args.warm_up):
            model(input_ids=torch.tensor(rows))
    return dict(residentBytes=resident, peakBytes=memory('VmHWM'))


def versions(_):
    from importlib.metadata import version

    return {name: version(name) for name in ('torch', 'transformers', 'peft', 'trl')}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for command in (train, inference, versions):
        sub = commands.add_parser(command.__name__)
        sub.set_defaults(run=command, dtype='float32')
        sub.add_argument('--threads', type=int, default=1)
        sub.add_argument('--device', choices=('cpu',), default='cpu')
        if command is versions:
            continue
        sub.add_argument('--model', required=True)
        sub.add_argument('--rank', type=int, default=16)
        sub.add_argument('--pairs', type=int, default=2)
        sub.add_argument('--prompt', type=int, default=64)
        sub.add_argument('--tokens', type=int, default=256)
        sub.add_argument('--checkpointing', action='store_true')
        sub.add_argument('--precompute', action='store_true')
        sub.add_argument('--steps', type=int, default=5)
        sub.add_argument('--warm-up', type=int, default=2)
    args = parser.parse_args()
    print(json.dumps(args.run(args)))


if __name__ == '__main__':
    main()
