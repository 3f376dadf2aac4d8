"""Golden folders of decoders with a head for whole texts, and losses, gradients and four training steps of TRL's RewardTrainer.
Deterministic (fixed seeds, 1 thread). Writes ../llama_score, ../qwen3_score, ../gpt_neox_score, ../gpt2_score and ../rewards.json.
run: OMP_NUM_THREADS=1 python make_rewards.py      (torch, transformers, peft, trl)"""
import json, os
import torch, transformers, trl
from as_json import seeded, summary, tensor
from datasets import Dataset
from file_names import file_names
from make_preference_traces import ALPHA, LR, OUT, PAD, RANK, SHARED, judged, open_model, pairs, rounded, tokenizer, traces

META = dict(torch=torch.__version__, transformers=transformers.__version__, note='float32, eval mode; every parameter jittered so biases and norms matter')
SIZES = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=48, pad_token_id=PAD, eos_token_id=2, bos_token_id=1)
MARGINS = [0.5, -0.25]


def make_folder(name, kind, config, labels, seed):
    torch.manual_seed(seed)
    model = kind(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=seeded(seed + 1)))
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    model.save_pretrained(folder)
    names = file_names(model, folder)
    # The second text is padded; the third ends with a padding token, and the state before it counts.
    ids = torch.randint(3, 96, (3, 11), generator=seeded(seed + 2))
    mask = torch.ones_like(ids)
    ids[1, 7:], mask[1, 7:], ids[2, 10] = PAD, 0, PAD
    out = model(input_ids=ids, attention_mask=mask, labels=labels)
    out.loss.backward()
    grads = {names[n]: summary(p.grad) for n, p in model.named_parameters()}
    golden = dict(meta=META, model=type(model).__name__, inputs=dict(input_ids=tensor(ids), attention_mask=tensor(mask)), labels=tensor(labels),
                  logits=tensor(out.logits), loss=float(f'{out.loss.item():.8g}'), grads=grads)
    json.dump(golden, open(os.path.join(folder, 'golden.json'), 'w'), separators=(',', ':'))


class PairTrainer(trl.RewardTrainer):
    """Uses pairs of token ids unchanged."""
    def _prepare_dataset(self, dataset, *args, **kwargs):
        return dataset


def reward_trainer(model, margins=False, **settings):
    data = [dict(chosen_ids=p['prompt_ids'] + p['chosen_ids'], rejected_ids=p['prompt_ids'] + p['rejected_ids']) for p in pairs(SIZES['vocab_size'])]
    if margins:
        data = [dict(entry, margin=margin) for entry, margin in zip(data, MARGINS)]
    args = trl.RewardConfig(**SHARED, **settings)
    trainer = PairTrainer(model=model, args=args, train_dataset=Dataset.from_list(data), processing_class=tokenizer(SIZES['vocab_size']))
    return trainer, trainer.data_collator(data)


def open_rewards(folder='llama_score'):
    model = open_model(folder, transformers.AutoModelForSequenceClassification)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def found(settings, given, folder='llama_score'):
    trainer, inputs = reward_trainer(open_rewards(folder), **given)
    case = judged(trainer, inputs)
    metrics = {name: rounded(trainer._metrics['train'][name][-1]) for name in ('accuracy', 'margin')}
    return dict(case, settings=settings, margins=MARGINS if given.get('margins') else [0, 0], metrics=metrics)


def make(model):
    trainer, inputs = reward_trainer(model, margins=True)
    return lambda: trainer.compute_loss(model, dict(inputs))




make_folder('llama_score', transformers.LlamaForSequenceClassification, transformers.LlamaConfig(**SIZES, num_labels=1), torch.tensor([0.5, -1.0, 2.0]), 701)
make_folder('qwen3_score', transformers.Qwen3ForSequenceClassification,
            transformers.Qwen3Config(**SIZES, num_labels=3, head_dim=8, problem_type='single_label_classification'), torch.tensor([2, 0, 1]), 711)
NEOX = {key: value for key, value in SIZES.items() if key != 'num_key_value_heads'}
make_folder('gpt_neox_score', transformers.GPTNeoXForSequenceClassification,
            transformers.GPTNeoXConfig(**NEOX, rotary_pct=0.5, num_labels=3, problem_type='single_label_classification'), torch.tensor([0, 2, 1]), 721)
GPT2 = dict(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=48, pad_token_id=PAD, eos_token_id=2, bos_token_id=1)
make_folder('gpt2_score', transformers.GPT2ForSequenceClassification,
            transformers.GPT2Config(**GPT2, num_labels=3, problem_type='single_label_classification'), torch.tensor([1, 2, 0]), 731)
table = dict(plain=({}, {}), margins=({}, dict(margins=True)),
             centered=(dict(center_rewards_coefficient=0.02), dict(margins=True, center_rewards_coefficient=0.02)))
cases = {name: found(*each) for name, each in table.items()}
encoders = {folder: found({}, dict(margins=True), folder) for folder in ('deberta_regression', 'bert_reranker')}
with open(os.path.join(OUT, 'rewards.json'), 'w') as file:
    json.dump(dict(trl=trl.__version__, lr=LR, rank=RANK, alpha=ALPHA, cases=cases, encoders=encoders, traces=traces(make, opened=open_rewards)), file, separators=(',', ':'))
    file.write('\n')
print({name: case['loss'] for name, case in cases.items()})
