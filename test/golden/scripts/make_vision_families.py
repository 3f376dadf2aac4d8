"""Golden folders of image models other than ViT and ResNet, each in several configs and image sizes.
Deterministic (fixed seeds, 1 thread).
run: OMP_NUM_THREADS=1 python make_vision_families.py [name …]      (also needs timm)"""
import copy, json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import timm, torch, transformers
from as_json import seeded, summary, tensor
from file_names import file_names, joined
from timm.models import save_for_hf
from open_model import DINOv3ViTForImageClassification
from transformers import (ConvNextConfig, ConvNextForImageClassification, ConvNextV2Config, ConvNextV2ForImageClassification, Dinov2Config, Dinov2ForImageClassification, Dinov2WithRegistersConfig, Dinov2WithRegistersForImageClassification, DINOv3ViTConfig, SiglipConfig, SiglipForImageClassification, SwinConfig, SwinForImageClassification)

torch.set_num_threads(1)
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
META = dict(torch=torch.__version__, transformers=transformers.__version__, note='float32, eval mode; every parameter jittered so biases and norms matter')


def make(name, build, seed, side=(16, 16), labels=(1, 2), save=lambda model, folder: model.save_pretrained(folder)):
    """Saves a jittered random model with its results for a small batch."""
    if len(sys.argv) > 1 and name not in sys.argv[1:]:
        return
    torch.manual_seed(seed)
    model = build().eval()
    generator = seeded(seed + 1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    save(model, folder)
    names = file_names(model, folder)
    pixels = torch.randn(len(labels), 3, *side, generator=seeded(seed + 2))
    # Fewer digits, to keep the file small.
    pixels = (pixels * 100).round() / 100
    targets = torch.tensor(labels)
    out = copy.deepcopy(model)
    found = out(pixels)
    logits = found if torch.is_tensor(found) else found.logits
    loss = torch.nn.functional.cross_entropy(logits, targets)
    loss.backward()
    grads = joined({names[n]: p.grad for n, p in out.named_parameters() if p.grad is not None and p.numel() > 0})
    golden = dict(meta=META, model=type(model).__name__, inputs=dict(pixel_values=tensor(pixels)), labels=tensor(targets),
                  loss=float(f'{loss.item():.8g}'), logits=tensor(logits),
                  grads={n: summary(g) for n, g in grads.items()})
    with open(os.path.join(folder, 'golden.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    print(name, golden['loss'], sum(p.numel() for p in model.parameters()), sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)))


dino = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_labels=3)
dino2 = dict(**dino, mlp_ratio=2, image_size=16, patch_size=4)
make('dinov2', lambda: Dinov2ForImageClassification(Dinov2Config(**dino2)), 401)
# Images of another size: positions are resampled, larger in one direction and smaller in the other; a gated MLP.
make('dinov2_resized', lambda: Dinov2ForImageClassification(Dinov2Config(**dino2, use_swiglu_ffn=True, qkv_bias=False)), 411, side=(24, 12))
# Resampled with antialiasing if there are registers.
make('dinov2_registers', lambda: Dinov2WithRegistersForImageClassification(Dinov2WithRegistersConfig(**dino2, num_register_tokens=3)), 421, side=(12, 20))
dino3 = dict(**dino, intermediate_size=24, image_size=16, patch_size=4)
make('dinov3', lambda: DINOv3ViTForImageClassification(DINOv3ViTConfig(**dino3, num_register_tokens=2)), 431)
make('dinov3_gated', lambda: DINOv3ViTForImageClassification(DINOv3ViTConfig(**dino3, use_gated_mlp=True, hidden_act='silu', key_bias=True, mlp_bias=False, rope_theta=10.0)),
     441, side=(12, 20))
next_ = dict(num_stages=2, hidden_sizes=[8, 12], depths=[1, 2], patch_size=2, num_labels=3, layer_norm_eps=1e-6)
make('convnext', lambda: ConvNextForImageClassification(ConvNextConfig(**next_, layer_scale_init_value=0.5)), 451)
# Sizes that cannot be halved evenly, no scales, another activation.
make('convnext_plain', lambda: ConvNextForImageClassification(ConvNextConfig(**next_, layer_scale_init_value=0.0, hidden_act='relu')), 461, side=(14, 18))
make('convnextv2', lambda: ConvNextV2ForImageClassification(ConvNextV2Config(**next_)), 471)
swin = dict(patch_size=2, embed_dim=8, depths=[2, 2], num_heads=[2, 4], mlp_ratio=2.0, num_labels=3)
# Windows of the first stage are shifted; those of the second cover all of it.
make('swin', lambda: SwinForImageClassification(SwinConfig(**swin, image_size=16, window_size=4)), 481)
# Sizes that are multiples of neither patches nor windows, in both stages; no biases of queries, keys and values.
make('swin_uneven', lambda: SwinForImageClassification(SwinConfig(**swin, image_size=16, window_size=3, qkv_bias=False)), 491, side=(17, 20))
tower = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24)
make('siglip', lambda: SiglipForImageClassification(SiglipConfig(vision_config=dict(**tower, image_size=16, patch_size=4),
     text_config=dict(**tower, vocab_size=8, bos_token_id=1, eos_token_id=2), num_labels=3)), 501)
by_timm = dict(save=lambda model, folder: save_for_hf(model, folder, safe_serialization=True))
staged = dict(num_classes=3, depths=(1, 1, 2, 1), dims=(4, 6, 8, 12))
# Scales that do not start near 0; timm redraws them.
make('timm_convnext', lambda: timm.create_model('convnext_tiny', **staged, drop_path_rate=0.1), 511, side=(32, 64), **by_timm)
# MLP layers that are convolutions, with the norm between them.
make('timm_convnextv2', lambda: timm.create_model('convnextv2_atto', **staged), 521, side=(32, 32), **by_timm)
make('timm_swin', lambda: timm.create_model('swin_tiny_patch4_window7_224', num_classes=3, img_size=16, patch_size=2, window_size=4, embed_dim=8, depths=(2, 2), num_heads=(2, 4)),
     531, **by_timm)
small = dict(num_classes=3, img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2)
make('timm_dinov2', lambda: timm.create_model('vit_small_patch14_dinov2', **small), 541, **by_timm)
make('timm_dinov2_registers', lambda: timm.create_model('vit_small_patch14_reg4_dinov2', **small), 551, **by_timm)
