"""Losses, gradients, metrics and four training steps of TRL's KTOTrainer, on golden folders of decoders. The trainer prepares the data
itself: tokens, end tokens, and the mismatched answers of its reference point. Writes ../kto.json.
run: OMP_NUM_THREADS=1 python make_kto.py   (torch, transformers, peft, trl)"""
import json, os
import torch, transformers, trl
from datasets import Dataset
from make_preference_traces import ALPHA, LR, OUT, PAD, RANK, SHARED, ids, judged, open_model, rounded, traces
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

EOS = 2
# Tokens of each prompt and answer, without the end token.
LENGTHS = [dict(prompt=4, answer=6, label=True), dict(prompt=2, answer=7, label=False), dict(prompt=5, answer=3, label=True),
           dict(prompt=3, answer=4, label=True)]
# Added to the model's own log-probabilities for a reference other than the model itself.
OFFSETS = dict(answers=[0.7, -1.1, -0.4, 0.9], above=[-1.5, 0.3, -0.8, -0.6], below=[1.5, -0.3, 0.8, 0.6])


def word(token):
    # Special tokens are found within words, so none may be the beginning of another.
    return f'w{token}.'


def tokenizer(vocab):
    words = Tokenizer(models.WordLevel({word(i): i for i in range(vocab)}, unk_token=word(1)))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token=word(PAD), eos_token=word(EOS), unk_token=word(1))


def text(tokens):
    return ' '.join(word(token) for token in tokens)


def kto_trainer(model, **settings):
    vocab = model.config.vocab_size
    data = [dict(prompt=text(ids(vocab, 2 * k, n['prompt'])), completion=' ' + text(ids(vocab, 2 * k + 1, n['answer']) + [EOS]), label=n['label'])
            for k, n in enumerate(LENGTHS)]
    args = trl.KTOConfig(**dict(SHARED, per_device_train_batch_size=len(LENGTHS)), max_length=64, **{'beta': 0.1, **settings})
    trainer = trl.KTOTrainer(model=model, args=args, train_dataset=Dataset.from_list(data), processing_class=tokenizer(vocab))
    trainer.precompute_ref_logps = True
    return trainer


def inputs_of(trainer, reference=None):
    found = trainer.data_collator([trainer.train_dataset[i] for i in range(len(LENGTHS))])
    reference = reference or own_logps(trainer.model, found)
    return dict(found, ref_logps=torch.tensor(reference['answers']), ref_KL_logps=torch.tensor(reference['mismatched']))


def own_logps(model, inputs):
    def of(prefix):
        if f'{prefix}input_ids' not in inputs:
            return [0.0] * len(LENGTHS)
        given = inputs[f'{prefix}input_ids']
        with torch.no_grad():
            logps = model(input_ids=given, attention_mask=inputs[f'{prefix}attention_mask']).logits.double().log_softmax(-1)
        own = logps[:, :-1].gather(-1, given[:, 1:, None])[..., 0] * inputs[f'{prefix}completion_mask'][:, 1:]
        return own.sum(1).tolist()
    return dict(answers=of(''), mismatched=of('KL_'))


def shifted(logps, mismatched):
    return dict(answers=[a + b for a, b in zip(logps['answers'], OFFSETS['answers'])],
                mismatched=[a + b for a, b in zip(logps['mismatched'], OFFSETS[mismatched])])


def folder_cases(folder):
    own = own_logps((given := kto_trainer(open_model(folder))).model, inputs_of(given))
    weights = dict(desirable_weight=0.5, undesirable_weight=1.5)
    cases = {}
    for name, (side, settings) in dict(kto=('above', {}), clamped=('below', {}), weighted=('above', dict(beta=0.4, **weights)),
                                       apo=('above', dict(loss_type='apo_zero_unpaired', **weights))).items():
        reference = shifted(own, side)
        trainer = kto_trainer(open_model(folder), **settings)
        found = judged(trainer, inputs_of(trainer, reference))
        found['metrics']['kl'] = rounded(trainer._metrics['train']['kl'][-1])
        cases[name] = dict(settings, reference=reference, **found)
    return cases


def make(**settings):
    def made(model):
        trainer = kto_trainer(model, **settings)
        inputs = inputs_of(trainer)
        return lambda: trainer.compute_loss(model, inputs)
    return made


if __name__ == '__main__':
    table = dict(folders={folder: folder_cases(folder) for folder in ('llama', 'gemma2')},
                 traces=dict(kto=traces(make(beta=0.5)), apo_zero_unpaired=traces(make(beta=0.5, loss_type='apo_zero_unpaired'))))
    meta = dict(torch=torch.__version__, transformers=transformers.__version__, trl=trl.__version__)
    with open(os.path.join(OUT, 'kto.json'), 'w') as file:
        json.dump(dict(meta=meta, lr=LR, rank=RANK, alpha=ALPHA, lengths=LENGTHS, **table), file, separators=(',', ':'))
        file.write('\n')
    print({name: {k: (v['loss'], v['metrics']) for k, v in cases.items()} for name, cases in table['folders'].items()}, table['traces'])
