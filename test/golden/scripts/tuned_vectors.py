"""What the scripts of models that make vectors share: texts as token ids, and the model with low-rank factors merged into its linear layers."""
import torch
from four_steps import ALPHA, RANK, wave
from torch.func import functional_call


def texts_of(lengths, words):
    """Token ids of the texts of each sample. lengths: their numbers of tokens; words: how many ids there are, behind 3 special ones"""
    return [[[(7 * sample + 13 * side + 5 * i) % words + 3 for i in range(length)] for side, length in enumerate(row)] for sample, row in enumerate(lengths)]


def features(texts, side):
    """The batch of one side of all samples, filled up with id 0."""
    rows = [sample[side] for sample in texts]
    longest = max(map(len, rows))
    return dict(input_ids=torch.tensor([row + [0] * (longest - len(row)) for row in rows]),
                attention_mask=torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]))


class Changed(torch.nn.Module):
    """The same model with other tensors in place of some of its own."""
    def __init__(self, model, changed):
        super().__init__()
        self.model, self.changed = model, changed

    def forward(self, given):
        return functional_call(self.model, self.changed(), (given,))


def low_rank(model, part, prefix=''):
    """The factors of each linear layer of a part of the model, and what merges them anew. prefix: of the part's names in the files"""
    model.requires_grad_(False)
    factors = {}
    for at, module in model.get_submodule(part).named_modules():
        if isinstance(module, torch.nn.Linear):
            phase = len(f'{prefix}{at}.weight')
            factors[f'{part}.{at}.weight'] = (wave((RANK, module.in_features), 0.1, phase).requires_grad_(), wave((module.out_features, RANK), 0.1, phase + 1).requires_grad_())
    merged = lambda: {key: model.get_parameter(key) + ALPHA / RANK * b @ a for key, (a, b) in factors.items()}
    return [f for pair in factors.values() for f in pair], merged
