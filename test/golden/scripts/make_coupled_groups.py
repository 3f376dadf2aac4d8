"""Coupled groups of the model folders next to this script by Torch-Pruning (1.6.1), with torch, transformers and timm of the README.

    OMP_NUM_THREADS=1 python make_coupled_groups.py [name …]     # writes ../coupled_groups.json; with names, only these are updated

For each group: its number of channels, and its members as 'name part', with the name of the weight in the model's file. 'out' makes the
channels or is between them (rows, norm entries, features of embeddings and of tables), 'in' reads them (columns).
"""
import json, os, sys
import torch, torch.nn as nn, torch_pruning, transformers
from open_model import open_model
from safetensors.torch import load_file

torch.set_num_threads(1)
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
BY_TRANSFORMERS = ['bert', 'roberta', 'distilbert', 'electra', 'albert', 'albert_groups', 'xlm_roberta', 'mpnet', 'modernbert', 'deberta', 'deberta_own_keys', 'vit', 'deit', 'deit_teacher', 'dinov2', 'dinov2_registers', 'convnext', 'convnextv2', 'swin', 'siglip', 'resnet', 'resnet_basic']
TINY_VIT = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4, num_classes=5)
STAGED = dict(num_classes=3, depths=(1, 1, 2, 1), dims=(4, 6, 8, 12))
BY_TIMM = {  # as created by make_classifier_families.py and make_vision_families.py
    'timm_resnext': ('resnext50_32x4d', dict(num_classes=5, layers=(1, 2, 1, 1), channels=(8, 8, 16, 16), cardinality=4, base_width=16)),
    'timm_resnet': ('resnet18', dict(num_classes=5, layers=(1, 2, 1, 1), channels=(8, 16, 16, 24))),
    'timm_vit': ('vit_tiny_patch16_224', TINY_VIT),
    'timm_deit_distilled': ('deit_tiny_distilled_patch16_224', TINY_VIT),
    'timm_dinov2_registers': ('vit_small_patch14_reg4_dinov2', dict(num_classes=3, img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2)),
    'timm_convnext': ('convnext_tiny', STAGED), 'timm_convnextv2': ('convnextv2_atto', STAGED),
    'timm_swin': ('swin_tiny_patch4_window7_224', dict(num_classes=3, img_size=16, patch_size=2, window_size=4, embed_dim=8, depths=(2, 2), num_heads=(2, 4))),
}


class Logits(nn.Module):
    def __init__(self, model, key):
        super().__init__()
        self.model, self.key = model, key

    def forward(self, x):
        return self.model(**{self.key: x}).logits if self.key else self.model(x)


def load(name):
    folder = os.path.join(GOLDEN, name)
    if name in BY_TIMM:
        import timm
        from timm.models import load_checkpoint
        # Fused attention hides its products from the trace.
        timm.layers.set_fused_attn(False)
        kind, sizes = BY_TIMM[name]
        model = timm.create_model(kind, **sizes)
        load_checkpoint(model, os.path.join(folder, 'model.safetensors'))
        return model.eval(), None
    with open(os.path.join(folder, 'golden.json')) as file:
        golden = json.load(file)
    model, _ = open_model(folder, attn_implementation='eager')
    return model, 'pixel_values' if 'pixel_values' in golden['inputs'] else 'input_ids'


def example(name, key):
    with open(os.path.join(GOLDEN, name, 'golden.json')) as file:
        found = json.load(file)['inputs'][key or 'pixel_values']
    return torch.tensor(found['data']).reshape(found['shape'])[:1]


def groups(name):
    model, key = load(name)
    stored = load_file(os.path.join(GOLDEN, name, 'model.safetensors'))

    def file_name(parameter):
        same = [n for n, v in stored.items() if v.shape == parameter.shape and torch.equal(v, parameter.detach())]
        assert len(same) == 1, (name, same)
        return same[0].removesuffix('.weight')

    graph = torch_pruning.DependencyGraph().build_dependency(Logits(model, key), example_inputs=example(name, key))
    found = []
    for group in graph.get_all_groups(root_module_types=[nn.Linear, nn.Conv2d]):
        members, channels = set(), len(group[0][1])
        for dependency, rows in group:
            target = dependency.target.module
            if isinstance(target, nn.Parameter):
                members.add(f'{file_name(target)} out')
            elif getattr(target, 'weight', None) is not None:
                members.add(f"{file_name(target.weight)} {'in' if dependency.handler.__name__ == 'prune_in_channels' else 'out'}")
        # A bias belongs to its weight, and what a table adds to scores is not a channel.
        members = {member for member in members if not member.endswith(('.bias out', 'relative_position_bias_table out'))}
        found.append(dict(channels=channels, members=sorted(members)))
    return found


asked = sys.argv[1:]
kept = json.load(open(os.path.join(GOLDEN, 'coupled_groups.json')))['families'] if asked else {}
result = dict(meta=dict(torch=torch.__version__, transformers=transformers.__version__, timm='1.0.31', torch_pruning='1.6.1'))
result['families'] = {name: kept[name] if asked and name not in asked else groups(name) for name in [*BY_TRANSFORMERS, *BY_TIMM]}
for name, found in result['families'].items():
    print(name, len(found), 'groups')
with open(os.path.join(GOLDEN, 'coupled_groups.json'), 'w') as out:
    json.dump(result, out, indent=1)
    out.write('\n')
