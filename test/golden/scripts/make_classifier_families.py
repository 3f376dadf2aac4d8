"""Golden folders for more classifiers: RoBERTa, DeBERTa of other switches, DeiT with a teacher head, basic ResNet, and timm's names with ResNeXt;
the buckets of DeBERTa's relative positions. Deterministic (fixed seeds, 1 thread).
run: OMP_NUM_THREADS=1 python make_classifier_families.py [folder]      (also needs timm)"""
import copy, json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import timm, torch, transformers
from as_json import seeded, summary, tensor
from file_names import file_names
from jitter import jitter
from timm.models import save_for_hf
from transformers import (DebertaV2Config, DebertaV2ForSequenceClassification, DeiTConfig, DeiTForImageClassificationWithTeacher, ResNetConfig,
                          ResNetForImageClassification, RobertaConfig, RobertaForSequenceClassification)
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

torch.set_num_threads(1)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
META = dict(torch=torch.__version__, transformers=transformers.__version__, timm=timm.__version__,
            note='float32, eval mode unless said; every parameter jittered so biases and norms matter')


def run(model, names, inputs, labels, mode):
    model = copy.deepcopy(model)
    model.train(mode == 'train')
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    out = model(**inputs) if not isinstance(model, timm.models.ResNet | timm.models.VisionTransformer) else model(*inputs.values())
    logits = out if torch.is_tensor(out) else out.logits
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    grads = {names[n]: summary(p.grad) for n, p in model.named_parameters() if p.grad is not None}
    result = dict(loss=float(f'{loss.item():.8g}'), logits=tensor(logits), grads=grads)
    if mode == 'train':
        result['buffers'] = {n: summary(b) for n, b in model.named_buffers() if 'running' in n}
    return result


def make(name, model, seed, inputs, labels, modes=('eval',), save=lambda model, folder: model.save_pretrained(folder)):
    """Saves a jittered random model with its results for a small batch."""
    jitter(model, seed)
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    save(model.eval(), folder)
    names = file_names(model, folder)
    golden = dict(meta=META, model=type(model).__name__, inputs={k: tensor(v) for k, v in inputs.items()}, labels=tensor(labels))
    for mode in modes:
        result = run(model, names, inputs, labels, mode)
        golden.update(result if mode == 'eval' else {mode: result})
    with open(os.path.join(folder, 'golden.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    print(name, golden['loss'], sum(p.numel() for p in model.parameters()), sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)))


def text(seed, tokens, pad, first):
    ids = torch.randint(first, 128, (3, tokens), generator=seeded(seed))
    seen = torch.ones_like(ids)
    seen[1, tokens * 2 // 3:] = 0
    ids[1, tokens * 2 // 3:] = pad
    return dict(input_ids=ids, attention_mask=seen)


small = dict(vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
three = torch.tensor([0, 2, 1])
torch.manual_seed(201)
make('roberta', RobertaForSequenceClassification(RobertaConfig(**small, max_position_embeddings=34, type_vocab_size=1, pad_token_id=1, num_labels=3)),
     202, text(203, 12, 1, 4), three)

deberta = dict(**small, max_position_embeddings=32, relative_attention=True, pooler_dropout=0, pooler_hidden_size=32, layer_norm_eps=1e-7, num_labels=3)
torch.manual_seed(211)
# Separate projections for positions, a row for each distance, absolute positions and segments; 20 tokens exceed the span of 16.
make('deberta_own_keys', DebertaV2ForSequenceClassification(DebertaV2Config(**deberta, share_att_key=False, pos_att_type=['c2p', 'p2c'],
     position_buckets=-1, max_relative_positions=16, position_biased_input=True, type_vocab_size=2, norm_rel_ebd='none', pooler_hidden_act='tanh')),
     212, dict(text(213, 20, 0, 3), token_type_ids=(torch.arange(20) >= 8).long().expand(3, 20).contiguous()), three)
torch.manual_seed(221)
make('deberta_c2p', DebertaV2ForSequenceClassification(DebertaV2Config(**deberta, share_att_key=True, pos_att_type=['c2p'], position_buckets=8,
     position_biased_input=False, type_vocab_size=0, norm_rel_ebd='layer_norm', pooler_hidden_act='gelu')), 222, text(223, 24, 0, 3), three)

pixels = torch.randn(2, 3, 32, 32, generator=seeded(233))
two = torch.tensor([1, 4])
torch.manual_seed(231)
make('deit_teacher', DeiTForImageClassificationWithTeacher(DeiTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
     image_size=32, patch_size=8, num_labels=5)), 232, dict(pixel_values=pixels), two)
torch.manual_seed(241)
# Batch statistics over four images; with two, the last stage would have little to normalize.
four, labels = torch.randn(4, 3, 24, 24, generator=seeded(243)), torch.tensor([3, 0, 2, 4])
make('resnet_basic', ResNetForImageClassification(ResNetConfig(num_channels=3, embedding_size=16, hidden_sizes=[16, 32], depths=[2, 1], layer_type='basic',
     downsample_in_first_stage=True, num_labels=5)), 242, dict(pixel_values=four), labels, modes=('eval', 'train'))
torch.manual_seed(251)
make('timm_resnext', timm.create_model('resnext50_32x4d', num_classes=5, layers=(1, 2, 1, 1), channels=(8, 8, 16, 16), cardinality=4, base_width=16),
     252, dict(pixel_values=four), labels, modes=('eval', 'train'), save=lambda model, folder: save_for_hf(model, folder, safe_serialization=True))
torch.manual_seed(261)
make('timm_resnet', timm.create_model('resnet18', num_classes=5, layers=(1, 2, 1, 1), channels=(8, 16, 16, 24)),
     262, dict(pixel_values=four), labels, modes=('eval', 'train'), save=lambda model, folder: save_for_hf(model, folder, safe_serialization=True))
tiny_vit = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4, num_classes=5)
torch.manual_seed(271)
make('timm_vit', timm.create_model('vit_tiny_patch16_224', **tiny_vit), 272, dict(pixel_values=pixels), two,
     save=lambda model, folder: save_for_hf(model, folder, safe_serialization=True))
torch.manual_seed(281)
make('timm_deit_distilled', timm.create_model('deit_tiny_distilled_patch16_224', **tiny_vit), 282, dict(pixel_values=pixels), two,
     save=lambda model, folder: save_for_hf(model, folder, safe_serialization=True))

distances = torch.arange(-600, 601)
with open(os.path.join(OUT, 'deberta_buckets.json'), 'w') as file:
    json.dump(dict(meta=META, first=-600, tables=[dict(buckets=b, max_distance=m, rows=make_log_bucket_position(distances, b, m).long().tolist())
                                                  for b, m in ((256, 512), (32, 128), (8, 64))]), file, separators=(',', ':'))
