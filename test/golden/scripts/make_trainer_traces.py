"""Recipes trained by Transformers' Trainer and TRL's SFTTrainer: losses, learning rates, gradient norms and weights of short runs, the rates of each
schedule, and the parameters without weight decay. Writes trainer_traces.json; in addition to torch, transformers and peft, needs trl 1.16 and datasets.
run: python make_trainer_traces.py [folder]"""
import json, logging, math, os, re, shutil, sys, tempfile

import datasets, peft, torch, transformers, trl
from file_names import file_names
from transformers import (AutoModelForCausalLM, AutoModelForImageClassification, AutoModelForSequenceClassification, AutoTokenizer, Trainer,
                          TrainerCallback, TrainingArguments, get_scheduler)

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
OUT = sys.argv[1] if len(sys.argv) > 1 else GOLDEN
torch.set_num_threads(1)
datasets.disable_progress_bars()
transformers.logging.set_verbosity_error()

TEXTS = ['the cat sat', 'on a mat, and it was warm', 'rain', 'two birds in a tree sing', 'a b c d e f g', 'what is this?', 'nothing much to see here']
PAIRS = [('ask: 1 + 1 =', ' 2'), ('ask: who?', ' the owl'), ('say it', ' no'), ('ask: red and blue make', ' purple'), ('go', ' on and on'), ('3 * 3 is', ' nine'), ('last', ' one')]
LABELED = [('warm and sunny', 0), ('snow', 1), ('a gale from the north', 2), ('mild', 0), ('ice on the lake', 1), ('breeze', 2), ('hot', 0)]

# ---- our random numbers (trainer/random.ts), so that both sides start from the same factors
M = 0xFFFFFFFF
def mix(z):
    z = ((z ^ (z >> 16)) * 0x21F0AAAD) & M
    z = ((z ^ (z >> 15)) * 0x735A2D97) & M
    return z ^ (z >> 15)
def uniforms(key, count):
    state = 0x9E3779B9
    state = mix(state ^ key)
    state = mix((state + 0x85EBCA6B) & M)
    a, b, c, d = [mix((state + step * 0x9E3779B9) & M) or step for step in (1, 2, 3, 4)]
    rot = lambda v, by: ((v << by) | (v >> (32 - by))) & M
    out = []
    for _ in range(count):
        out.append(((rot((b * 5) & M, 7) * 9) & M) / 2**32)
        t = (b << 9) & M
        c ^= a; d ^= b; b ^= c; a ^= d; c ^= t
        d = rot(d, 11)
    return out
def hash_seed(seed, name):
    h = (0x811C9DC5 ^ seed) & M
    for ch in name:
        h = ((h ^ ord(ch)) * 0x01000193) & M
    return h

def our_name(name):
    return re.sub(r'^base_model\.model\.|\.default|\.modules_to_save', '', name).replace('lora_magnitude_vector.weight', 'lora_magnitude_vector')

def start_factors(model, seed=42):
    for name, p in model.named_parameters():
        if '.lora_A.' in name:
            bound = 1 / math.sqrt(p.shape[1])
            values = [(2 * u - 1) * bound for u in uniforms(hash_seed(seed, our_name(name)), p.numel())]
            p.data.copy_(torch.tensor(values, dtype=torch.float64).float().reshape(p.shape))

class Watch(TrainerCallback):
    def __init__(self):
        self.logs = []
    def on_log(self, args, state, control, logs=None, **_):
        if 'loss' in logs:
            self.logs.append(logs)

class KeepOthers(TrainerCallback):
    """Keeps rows that are not trained unchanged, by undoing weight decay on them."""
    def __init__(self, model, rows):
        self.kept = {}
        for name, p in model.named_parameters():
            module = name.removesuffix('.weight')
            p.requires_grad_(module in rows)
            if module in rows:
                mask = torch.zeros(p.shape[0], 1); mask[rows[module]] = 1
                p.register_hook(lambda g, mask=mask: g * mask)
                self.kept[name] = (p, mask, p.detach().clone())
    def on_optimizer_step(self, *_, **__):
        for p, mask, start in self.kept.values():
            p.data.copy_(p.data * mask + start * (1 - mask))

def collate(samples):
    longest = max(len(s['input_ids']) for s in samples)
    fill = lambda key, value: torch.tensor([s[key] + [value] * (longest - len(s[key])) for s in samples])
    out = dict(input_ids=fill('input_ids', 0), attention_mask=torch.tensor([[1] * len(s['input_ids']) + [0] * (longest - len(s['input_ids'])) for s in samples]))
    out['labels'] = fill('labels', -100) if isinstance(samples[0]['labels'], list) else torch.tensor([s['labels'] for s in samples])
    return out

def folder_of(name, **config):
    folder = tempfile.mkdtemp()
    for part in (name, 'tiny-tokenizer'):
        shutil.copytree(os.path.join(GOLDEN, part), folder, dirs_exist_ok=True)
    at = os.path.join(folder, 'config.json')
    json.dump({**json.load(open(at)), **config}, open(at, 'w'))
    return folder

def summary(values):
    flat = values.detach().double().flatten()
    return dict(shape=list(values.shape), l2=flat.norm().item(), first4=flat[:4].tolist(), probe=(flat * torch.cos(torch.arange(len(flat), dtype=torch.float64))).sum().item())

def run(kind='causal', method='full', data='text', recipe=None, trainer=Trainer, arguments=None, config=None, **extra):
    """Trains, and writes the recipe in our terms with the results."""
    arguments = dict(arguments or {})
    folder = folder_of('bert' if kind == 'classifier' else 'llama', **(config or {}))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    auto = AutoModelForSequenceClassification if kind == 'classifier' else AutoModelForCausalLM
    torch.manual_seed(0)
    model = auto.from_pretrained(folder, dtype=torch.float32)
    names = file_names(model, folder)
    callbacks = [Watch()]
    if method in ('lora', 'dora'):
        model = peft.get_peft_model(model, peft.LoraConfig(r=4, lora_alpha=16, target_modules='all-linear', use_dora=method == 'dora'))
        start_factors(model)
        names = {name: our_name(name) for name, p in model.named_parameters() if p.requires_grad}
    if method == 'spsft':
        scores = json.load(open(os.path.join(GOLDEN, 'llama_tuning_trace.json')))['row_importance']
        callbacks.append(KeepOthers(model, {name: found['top4_magnitude'] for name, found in scores.items()}))
    common = dict(output_dir=tempfile.mkdtemp(), use_cpu=True, report_to='none', disable_tqdm=True, logging_steps=1, save_strategy='no',
                  train_sampling_strategy='sequential', seed=42, **{'optim': 'adamw_torch', **arguments})
    if data == 'label':
        samples = [dict(input_ids=tokenizer(text)['input_ids'], labels=label) for text, label in LABELED]
    elif data == 'text':
        ids = [tokenizer(text)['input_ids'] + [tokenizer.eos_token_id] for text in TEXTS]
        samples = [dict(input_ids=i, labels=i) for i in ids]
    if trainer is Trainer or issubclass(trainer, Trainer) and not issubclass(trainer, trl.SFTTrainer):
        t = trainer(model=model, args=TrainingArguments(**common), train_dataset=samples, data_collator=collate, callbacks=callbacks)
    else:
        rows = [dict(text=text) for text in TEXTS] if data == 'text' else [dict(prompt=p, completion=c) for p, c in PAIRS]
        args = trl.SFTConfig(bf16=False, fp16=False, gradient_checkpointing=False, loss_type='nll', **{**common, **extra})
        t = trl.SFTTrainer(model=model, args=args, train_dataset=datasets.Dataset.from_list(rows), processing_class=tokenizer, callbacks=callbacks)
    t.train()
    logs = callbacks[0].logs
    trained = {names[name]: p for name, p in model.named_parameters() if p.requires_grad}
    # The order in which TRL packed the samples: in this order, adding each to the last row with room gives the same rows.
    order = None
    if extra.get('packing'):
        texts = [tokenizer(row['text'] if data == 'text' else row['prompt'] + row['completion'])['input_ids'] + [tokenizer.eos_token_id] for row in rows]
        order = []
        for ids, lengths in zip(t.train_dataset['input_ids'], t.train_dataset['seq_lengths']):
            for length in lengths:
                order.append(texts.index(list(ids[:length])))
                ids = ids[length:]
        assert sorted(order) == list(range(len(texts)))
    return dict(kind=kind, method=method, data=data, config=config or {}, recipe=recipe or {}, steps=t.state.max_steps, order=order,
                losses=[log['loss'] for log in logs], learning_rates=[log['learning_rate'] for log in logs], grad_norms=[float(log['grad_norm']) for log in logs],
                weights={name: summary(p) for name, p in trained.items()})

class DecayAll(Trainer):
    def get_decay_parameter_names(self, model):
        return [name for name, _ in model.named_parameters()]

# Recipe keys that are arguments of the Trainer with the same name and value.
SAME = ('per_device_train_batch_size', 'gradient_accumulation_steps', 'num_train_epochs', 'max_steps', 'learning_rate', 'lr_scheduler_type', 'lr_scheduler_kwargs',
        'warmup_steps', 'weight_decay', 'max_grad_norm', 'label_smoothing_factor', 'adam_beta1', 'adam_beta2', 'adam_epsilon')
def same(method='full', kind='causal', data='text', config=None, trainer=Trainer, ours=None, extra=None, arguments=None, **settings):
    base = dict(per_device_train_batch_size=2, num_train_epochs=2, learning_rate=2e-3, weight_decay=0.1)
    settings = {**base, **settings}
    assert all(key in SAME for key in settings), settings
    return run(kind, method, data, recipe={**settings, **(ours or {})}, trainer=trainer, config=config, arguments={**settings, **(arguments or {})}, **(extra or {}))

quiet = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
runs = dict(
    full=same(),
    no_clipping=same(max_grad_norm=0),
    tight_clipping=same(max_grad_norm=0.1, warmup_steps=2),
    decay_of_all=same(trainer=DecayAll, weight_decay=0.5, ours=dict(decay_norms_and_biases=True)),
    strong_decay=same(weight_decay=0.5),
    accumulation=same(gradient_accumulation_steps=3, num_train_epochs=3),
    fractional_epochs=same(per_device_train_batch_size=3, gradient_accumulation_steps=2, num_train_epochs=2.5, warmup_steps=0.3),
    max_steps=same(max_steps=6, per_device_train_batch_size=3),
    cosine=same(lr_scheduler_type='cosine', warmup_steps=0.2),
    cosine_with_restarts=same(lr_scheduler_type='cosine_with_restarts', lr_scheduler_kwargs=dict(num_cycles=2)),
    polynomial=same(lr_scheduler_type='polynomial', lr_scheduler_kwargs=dict(power=2.0, lr_end=1e-4), warmup_steps=2),
    inverse_sqrt=same(lr_scheduler_type='inverse_sqrt', warmup_steps=3),
    warmup_stable_decay=same(lr_scheduler_type='warmup_stable_decay', lr_scheduler_kwargs=dict(num_decay_steps=3), warmup_steps=2),
    constant=same(lr_scheduler_type='constant', warmup_steps=3),
    constant_with_warmup=same(lr_scheduler_type='constant_with_warmup', warmup_steps=3),
    label_smoothing=same(label_smoothing_factor=0.1),
    label_smoothing_accumulated=same(label_smoothing_factor=0.2, gradient_accumulation_steps=2),
    betas=same(adam_beta1=0.8, adam_beta2=0.95, adam_epsilon=1e-6),
    sgd=same(learning_rate=0.05, ours=dict(optim='sgd'), arguments=dict(optim='sgd')),
    lora=same('lora', learning_rate=1e-2),
    lora_accumulation=same('lora', learning_rate=1e-2, gradient_accumulation_steps=3, num_train_epochs=3),
    dora=same('dora', learning_rate=1e-2),
    spsft=same('spsft', learning_rate=1e-2, weight_decay=0.5, max_grad_norm=0.5),
    classifier=same(kind='classifier', data='label', config=quiet),
    classifier_smoothed=same(kind='classifier', data='label', config=quiet, label_smoothing_factor=0.15),
    sft_text=same(trainer=trl.SFTTrainer, extra=dict(max_length=48)),
    sft_completion=same(trainer=trl.SFTTrainer, data='pair', extra=dict(max_length=48)),
    sft_all_tokens=same(trainer=trl.SFTTrainer, data='pair', ours=dict(completion_only=False), extra=dict(max_length=48, completion_only_loss=False)),
    sft_packed=same(trainer=trl.SFTTrainer, ours=dict(packing=True, max_length=32), extra=dict(max_length=32, packing=True)),
    sft_packed_completion=same(trainer=trl.SFTTrainer, data='pair', ours=dict(packing=True, max_length=32), extra=dict(max_length=32, packing=True)),
)

schedules = {}
for name, kind, warmup, total, kwargs in [
    ('linear', 'linear', 3, 10, {}), ('cosine', 'cosine', 3, 10, {}), ('cosine_cycles', 'cosine', 2, 10, dict(num_cycles=1.5)),
    ('cosine_with_restarts', 'cosine_with_restarts', 1, 12, dict(num_cycles=3)), ('polynomial', 'polynomial', 3, 10, {}),
    ('polynomial_power', 'polynomial', 0, 9, dict(power=1.7, lr_end=1e-5)), ('inverse_sqrt', 'inverse_sqrt', 3, 12, {}), ('inverse_sqrt_cold', 'inverse_sqrt', 0, 12, {}),
    ('inverse_sqrt_timescale', 'inverse_sqrt', 2, 12, dict(timescale=5)), ('constant', 'constant', 3, 6, {}), ('constant_with_warmup', 'constant_with_warmup', 3, 8, {}),
    ('warmup_stable_decay', 'warmup_stable_decay', 2, 12, dict(num_decay_steps=5)),
    ('warmup_stable_decay_floor', 'warmup_stable_decay', 3, 12, dict(num_decay_steps=4, num_stable_steps=2, min_lr_ratio=0.1)),
]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2e-4)
    scheduler = get_scheduler(kind, optimizer, warmup, total, kwargs)
    rates = []
    for _ in range(total):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step(); scheduler.step()
    schedules[name] = dict(type=kind, warmup=warmup, total=total, arguments=kwargs, rates=rates)

warmups = [[given, total, TrainingArguments(output_dir='.', warmup_steps=given, use_cpu=True).get_warmup_steps(total)] for given in (0, 0.03, 0.1, 0.5, 0.999, 1, 7) for total in (1, 10, 110)]

decay = {}
for folder, auto in [('llama', AutoModelForCausalLM), ('llama_biased', AutoModelForCausalLM), ('qwen2', AutoModelForCausalLM), ('mistral_window', AutoModelForCausalLM),
                     *[(name, AutoModelForSequenceClassification) for name in ('bert', 'roberta', 'deberta', 'deberta_c2p')],
                     *[(name, AutoModelForImageClassification) for name in ('vit', 'deit', 'resnet', 'resnet_basic')]]:
    model = auto.from_pretrained(os.path.join(GOLDEN, folder))
    names = file_names(model, os.path.join(GOLDEN, folder))
    decayed = set(Trainer.get_decay_parameter_names(None, model))
    decay[folder] = sorted(names[name] for name, _ in model.named_parameters() if name not in decayed)
for method, config in [('lora', dict()), ('dora', dict(use_dora=True))]:
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(os.path.join(GOLDEN, 'llama')), peft.LoraConfig(r=4, target_modules='all-linear', **config))
    decayed = set(Trainer.get_decay_parameter_names(None, model))
    decay[f'llama by {method}'] = sorted(name for name, p in model.named_parameters() if p.requires_grad and name not in decayed)

out = dict(meta=dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__, trl=trl.__version__),
           texts=TEXTS, pairs=PAIRS, labeled=LABELED, undecayed=decay, schedules=schedules, warmups=warmups, runs=runs)
def rounded(value):
    if isinstance(value, float):
        return float(f'{value:.10g}')
    return {k: rounded(v) for k, v in value.items()} if isinstance(value, dict) else [rounded(v) for v in value] if isinstance(value, (list, tuple)) else value
json.dump(rounded(out), open(os.path.join(OUT, 'trainer_traces.json'), 'w'), separators=(',', ':'))
