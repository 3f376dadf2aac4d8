"""Losses, gradients and four training steps of TRL's trainers for preferences, on golden folders of decoders.
The loss is the trainer's own (`compute_loss`), on a batch of token ids that follow from formulas; gradients are stored as their norm and
their dot product with a wave. run: OMP_NUM_THREADS=1 python make_preference_traces.py [folder]   (torch, transformers, peft, trl)"""
import json, math, os, sys, tempfile
os.environ['HF_HUB_OFFLINE'] = '1'
os.environ['TRL_EXPERIMENTAL_SILENCE'] = '1'
import torch, transformers, trl
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
LR, STEPS, RANK, ALPHA = 5e-3, 4, 4, 16
LENGTHS = [dict(prompt=4, chosen=6, rejected=3), dict(prompt=2, chosen=4, rejected=7)]
# Added to the model's own log-probabilities for a reference other than the model itself.
OFFSETS = dict(chosen=[0.7, -1.1], rejected=[-0.4, 0.9])
PAD = 0


def ids(vocab, start, count):
    return [(start * 29 + i * 37 + 5) % (vocab - 3) + 3 for i in range(count)]


def pairs(vocab):
    return [dict(prompt_ids=ids(vocab, 3 * k, n['prompt']), chosen_ids=ids(vocab, 3 * k + 1, n['chosen']),
                 rejected_ids=ids(vocab, 3 * k + 2, n['rejected'])) for k, n in enumerate(LENGTHS)]


def tokenizer(vocab):
    words = {f'w{i}': i for i in range(vocab)}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(words, unk_token='w1')),
                                   pad_token=f'w{PAD}', eos_token='w2', unk_token='w1')


def open_model(folder, kind=AutoModelForCausalLM):
    model = kind.from_pretrained(os.path.join(OUT, folder), dtype=torch.float32, attn_implementation='eager')
    if hasattr(model, 'generation_config'):
        model.generation_config.pad_token_id = PAD
    return model


SHARED = dict(output_dir=tempfile.mkdtemp(), per_device_train_batch_size=len(LENGTHS), report_to=[], use_cpu=True, bf16=False,
              gradient_checkpointing=False, remove_unused_columns=False)


class PairTrainer(trl.DPOTrainer):
    """Uses pairs of token ids unchanged."""
    def _prepare_dataset(self, dataset, *args, **kwargs):
        return dataset


def dpo_trainer(model, **settings):
    vocab = model.config.vocab_size
    data = Dataset.from_list([dict(pair, ref_chosen_logps=0.0, ref_rejected_logps=0.0) for pair in pairs(vocab)])
    args = trl.DPOConfig(**SHARED, beta=0.1, precompute_ref_log_probs=False, **settings)
    trainer = PairTrainer(model=model, ref_model=None, args=args, train_dataset=data, processing_class=tokenizer(vocab))
    trainer.precompute_ref_logps = True
    return trainer


def pair_inputs(trainer, count=len(LENGTHS), reference=None):
    batch = pairs(trainer.model.config.vocab_size)[:count]
    inputs = trainer.data_collator(batch)
    reference = reference or own_logps(trainer.model, inputs)
    return dict(inputs, ref_chosen_logps=torch.tensor(reference['chosen'][:count]), ref_rejected_logps=torch.tensor(reference['rejected'][:count]))


def own_logps(model, inputs):
    with torch.no_grad():
        logps = model(input_ids=inputs['input_ids'], attention_mask=inputs['attention_mask']).logits.double().log_softmax(-1)
    own = logps[:, :-1].gather(-1, inputs['input_ids'][:, 1:, None])[..., 0] * inputs['completion_mask'][:, 1:]
    chosen, rejected = own.sum(1).chunk(2)
    return dict(chosen=chosen.tolist(), rejected=rejected.tolist())


def shifted(logps):
    return {side: [a + b for a, b in zip(logps[side], OFFSETS[side])] for side in logps}


def wave(parameter):
    return torch.sin(0.7 * torch.arange(parameter.numel(), dtype=torch.float64)).reshape(parameter.shape)


def rounded(x):
    return float(f'{x:.9g}')


def judged(trainer, inputs):
    """Returns the loss, its gradient for every parameter as [norm, dot product with a wave], and TRL's metrics."""
    model = trainer.model
    model.train()
    model.zero_grad()
    trainer._metrics['train'].clear()
    loss = trainer.compute_loss(model, inputs)
    loss.backward()
    gradients = {name: [rounded(p.grad.double().norm().item()), rounded((p.grad.double() * wave(p)).sum().item())]
                 for name, p in model.named_parameters() if p.grad is not None}
    metrics = {name: rounded(values[-1]) for name, values in trainer._metrics['train'].items() if name.split('/')[0] in ('rewards', 'logps')}
    return dict(loss=rounded(loss.item()), gradients=gradients, metrics=metrics)


def block_linears(model):
    return {name: m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and '.layers.' in name}


def chosen_rows(count):
    return sorted({0, 2, count // 2, count - 1})


def losses(make, method, opened=lambda: open_model('llama')):
    """Returns losses before each of four AdamW steps and after the last one. make: returns a function that computes a model's loss"""
    model = opened()
    loss_of = make(model)
    model.train()
    mask = lambda: None
    if method == 'full':
        trained = list(model.parameters())
    else:
        model.requires_grad_(False)
        trained = []
        for m in block_linears(model).values():
            if method == 'lora':
                a = torch.tensor([[((i * 31 + j * 17) % 23 - 11) / 100 for j in range(m.in_features)] for i in range(RANK)])
                a, b = torch.nn.Parameter(a), torch.nn.Parameter(torch.zeros(m.out_features, RANK))
                trained += [a, b]
                m.register_forward_hook(lambda m, x, y, a=a, b=b: y + x[0] @ a.T @ b.T * (ALPHA / RANK))
            else:
                for p in m.parameters():
                    trained.append(p.requires_grad_(True))

        def mask():
            for p in trained if method == 'spsft' else []:
                kept = torch.zeros(p.shape[0], dtype=torch.bool)
                kept[chosen_rows(p.shape[0])] = True
                p.grad[~kept] = 0
    optimizer = torch.optim.AdamW(trained, lr=LR, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    found = []
    for step in range(STEPS + 1):
        optimizer.zero_grad()
        loss = loss_of()
        found.append(rounded(loss.item()))
        loss.backward()
        mask()
        if step < STEPS:
            optimizer.step()
    return found


def traces(make, **given):
    return {method: losses(make, method, **given) for method in ('full', 'spsft', 'lora')}


def dpo():
    table = {}
    for folder in ('llama', 'gemma2'):
        trainer = dpo_trainer(open_model(folder))
        reference = shifted(own_logps(trainer.model, pair_inputs(trainer)))
        cases = {}
        for name, settings in dict(sigmoid={}, sigmoid_norm={}, hinge={}, ipo={}, robust=dict(label_smoothing=0.1)).items():
            case = dpo_trainer(open_model(folder), loss_type=[name], **settings)
            cases[name] = dict(settings, loss_type=name, pairs=2, **judged(case, pair_inputs(case, reference=reference)))
        # For a single pair, TRL's unsorted aot is conservative DPO.
        case = dpo_trainer(open_model(folder), loss_type=['aot'], label_smoothing=0.1)
        cases['conservative'] = dict(loss_type='sigmoid', label_smoothing=0.1, pairs=1, **judged(case, pair_inputs(case, 1, reference)))
        table[folder] = dict(reference=reference, cases=cases)

    def make(model):
        trainer = dpo_trainer(model)
        inputs = pair_inputs(trainer)
        return lambda: trainer.compute_loss(model, inputs)
    return dict(folders=table, traces=traces(make))


def older_pairs(vocab):
    """Returns pairs as TRL's trainers without a reference tokenize them."""
    found = []
    for pair in pairs(vocab):
        entry = dict(prompt_input_ids=pair['prompt_ids'], prompt_attention_mask=[1] * len(pair['prompt_ids']))
        for side in ('chosen', 'rejected'):
            whole = pair['prompt_ids'] + pair[f'{side}_ids']
            entry.update({f'{side}_input_ids': whole, f'{side}_attention_mask': [1] * len(whole),
                          f'{side}_labels': [-100] * len(pair['prompt_ids']) + pair[f'{side}_ids']})
        found.append(entry)
    return found


def without_reference(kind, config, model, **settings):
    """Returns a trainer whose data set is replaced by pairs of token ids."""
    vocab = model.config.vocab_size
    text = Dataset.from_list([dict(prompt='w5 w6', chosen='w7', rejected='w8')] * 2)
    trainer = kind(model=model, args=config(**SHARED, max_length=64, **settings), train_dataset=text, processing_class=tokenizer(vocab))
    return trainer, trainer.data_collator(older_pairs(vocab))


def measured(trainer, inputs):
    model = trainer.model
    model.train()
    model.zero_grad()
    loss, metrics = trainer.get_batch_loss_metrics(model, inputs)
    loss.backward()
    gradients = {name: [rounded(p.grad.double().norm().item()), rounded((p.grad.double() * wave(p)).sum().item())]
                 for name, p in model.named_parameters() if p.grad is not None}
    kept = {name: rounded(value) for name, value in metrics.items() if name.split('/')[0] in ('rewards', 'logps', 'nll_loss')}
    return dict(loss=rounded(loss.item()), gradients=gradients, metrics=kept)


def plain(kind, config, cases):
    table = {}
    for folder in ('llama', 'gemma2'):
        table[folder] = dict(cases={name: dict(settings, pairs=2, **measured(*without_reference(kind, config, open_model(folder), **given)))
                                    for name, (settings, given) in cases.items()})

    def make(model):
        trainer, inputs = without_reference(kind, config, model, **next(iter(cases.values()))[1])
        return lambda: trainer.get_batch_loss_metrics(model, inputs)[0]
    return dict(folders=table, traces=traces(make))


def orpo():
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer
    return plain(ORPOTrainer, ORPOConfig, dict(orpo=(dict(beta=0.25), dict(beta=0.25))))


def simpo():
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    given = dict(loss_type='simpo', cpo_alpha=0.0, beta=2.0, simpo_gamma=1.0)
    return plain(CPOTrainer, CPOConfig, dict(simpo=(dict(beta=2, gamma=1), given),
                                             smoothed=(dict(beta=2, gamma=1, label_smoothing=0.1), dict(given, label_smoothing=0.1))))


if __name__ == '__main__':
    table = dict(dpo=dpo(), orpo=orpo(), simpo=simpo())
    meta = dict(torch=torch.__version__, transformers=transformers.__version__, trl=trl.__version__)
    with open(os.path.join(OUT, 'preference_traces.json'), 'w') as file:
        json.dump(dict(meta=meta, lr=LR, rank=RANK, alpha=ALPHA, lengths=LENGTHS, **table), file, indent=None, separators=(',', ':'))
        file.write('\n')
    for objective, found in table.items():
        print(objective, {name: {k: v['loss'] for k, v in entry['cases'].items()} for name, entry in found['folders'].items()}, found['traces'])
