"""Losses, gradients and four training steps of distillation on golden folders of decoders. Teachers are logits from a formula. With all
tokens, the divergence is that of TRL's GKDTrainer; with the most likely ones and the rest as one outcome, that of its server distillation;
with only the most likely ones, torch.nn.functional.kl_div of renormalized distributions. Writes ../distillation.json.
run: OMP_NUM_THREADS=1 python make_distillation.py   (torch, transformers, trl)"""
import json, os
import torch, transformers, trl
from make_preference_traces import ALPHA, LR, OUT, RANK, ids, open_model, rounded, traces, wave
from trl.experimental.gkd import GKDTrainer
from trl.experimental.server_distillation import server_distillation_trainer as server

F = torch.nn.functional
# Tokens of each sample, and the index of the first trained one.
LENGTHS = [dict(length=9, start=3), dict(length=12, start=1)]
SHARED = dict(top_k=5, temperature=1.0, alpha=0.5, beta=0.0, rest='bucket')
CASES = dict(forward={}, hot=dict(temperature=2.5), reverse=dict(beta=1.0), mixed=dict(beta=0.3, temperature=1.5), single=dict(top_k=1, alpha=1.0),
             renormalized=dict(rest='renormalize', alpha=0.75), renormalized_hot=dict(rest='renormalize', temperature=2.0, beta=0.6),
             renormalized_reverse=dict(rest='renormalize', beta=1.0), all=dict(top_k=0), all_mixed=dict(top_k=0, beta=0.5, temperature=2.0, alpha=1.0),
             all_reverse=dict(top_k=0, beta=1.0, temperature=0.8), smoothed=dict(label_smoothing=0.1, temperature=2.0))


def teacher_logits(vocab, count):
    """Returns logits [count, vocab] whose certainty differs between targets."""
    t, j = torch.arange(count, dtype=torch.float64)[:, None], torch.arange(vocab, dtype=torch.float64)[None]
    return (1.5 + t % 4) * torch.sin(1.3 * t + 0.7 * j + 0.01 * t * j)


def batch(vocab):
    """Returns, for each sample, its ids and the positions of its targets."""
    return [(torch.tensor([ids(vocab, k, n['length'])]), list(range(n['start'], n['length']))) for k, n in enumerate(LENGTHS)]


def target_logits(model):
    """Returns the logits that predict each target, and the targets."""
    rows, targets = [], []
    for tokens, places in batch(model.config.vocab_size):
        logits = model(input_ids=tokens).logits[0]
        rows.append(logits[[place - 1 for place in places]])
        targets.append(tokens[0, places])
    return torch.cat(rows), torch.cat(targets)


def divergence(student, teacher, top_k, temperature, beta, rest):
    """Returns the divergence for each target."""
    if top_k == 0:
        found = GKDTrainer.generalized_jsd_loss(student[None], teacher[None], beta=beta, temperature=temperature, reduction='none')
        return found.reshape(len(student), -1).sum(-1)
    student, teacher = (logits / temperature for logits in (student, teacher))
    listed = teacher.topk(top_k).indices
    if rest == 'renormalize':
        student, teacher = (logits.gather(-1, listed).log_softmax(-1) for logits in (student, teacher))
        return server._jsd_divergence(student, teacher, beta).sum(-1)
    student, teacher = (logits.log_softmax(-1).gather(-1, listed) for logits in (student, teacher))
    everywhere = torch.ones_like(listed, dtype=torch.bool)
    (student, mask), (teacher, _) = (server._add_tail_bucket(logs, everywhere) for logs in (student, teacher))
    return server._jsd_divergence(student, teacher, beta, mask).sum(-1)


def loss_of(model, label_smoothing=0.0, **given):
    settings = {**SHARED, **given}
    alpha = settings.pop('alpha')
    logits, targets = target_logits(model)
    nll = F.cross_entropy(logits, targets, reduction='none', label_smoothing=label_smoothing)
    found = divergence(logits, teacher_logits(logits.shape[1], len(targets)).float(), **settings)
    return ((1 - alpha) * nll + alpha * settings['temperature'] ** 2 * found).mean(), found.mean(), F.cross_entropy(logits, targets)


def case(folder, settings):
    model = open_model(folder)
    model.train()
    loss, divergent, nll = loss_of(model, **settings)
    loss.backward()
    gradients = {name: [rounded(p.grad.double().norm().item()), rounded((p.grad.double() * wave(p)).sum().item())]
                 for name, p in model.named_parameters() if p.grad is not None}
    return dict(settings, loss=rounded(loss.item()), divergence=rounded(divergent.item()), nll=rounded(nll.item()), gradients=gradients)


TRACES = dict(forward={}, mixed=dict(beta=0.3, temperature=1.5), renormalized=dict(rest='renormalize'))

if __name__ == '__main__':
    table = dict(folders={folder: {name: case(folder, settings) for name, settings in CASES.items()} for folder in ('llama', 'gemma2')},
                 traces={name: dict(settings=settings, losses=traces(lambda model: lambda: loss_of(model, **settings)[0]))
                         for name, settings in TRACES.items()})
    meta = dict(torch=torch.__version__, transformers=transformers.__version__, trl=trl.__version__)
    with open(os.path.join(OUT, 'distillation.json'), 'w') as file:
        json.dump(dict(meta=meta, lr=LR, rank=RANK, alpha=ALPHA, lengths=LENGTHS, shared=SHARED, **table), file, separators=(',', ':'))
        file.write('\n')
    print({name: {k: (v['loss'], v['divergence']) for k, v in cases.items()} for name, cases in table['folders'].items()}, table['traces'])
