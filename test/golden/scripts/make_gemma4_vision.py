"""Golden folders of Gemma 4's models that read images: what the image processor, the encoder and the language model make of a few small
pictures, with the gradients of the text part and the tokens that generate writes. Deterministic (fixed seeds, 1 thread); needs torchvision
and Pillow.
run: OMP_NUM_THREADS=1 python make_gemma4_vision.py [folder [name of a golden folder…]]"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from as_json import norm, numbers, seeded, summary, tensor
from pictures import NOTE, picture
from text_golden import text_golden
from transformers import Gemma4Config, Gemma4ForConditionalGeneration, Gemma4UnifiedConfig, Gemma4UnifiedForConditionalGeneration
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil
from transformers.models.gemma4_unified.image_processing_gemma4_unified import Gemma4UnifiedImageProcessor

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
ONLY = sys.argv[2:]
META = dict(torch=torch.__version__, transformers=transformers.__version__,
            note=f'float32, eval mode; every parameter jittered by 0.1*randn; {NOTE}')
STEPS = 6
SOUND, IMAGE, START, END = 59, 60, 61, 62
# Width and height: one with rows and columns of vectors, one with a single row and one with a single column. The texts have about the same length:
# padding beyond the window would see nothing.
SIZES = [(30, 20), (54, 3), (3, 54)]


class LargePatches:
    """The processor of models without a tower joins patches to larger ones. It resizes with torchvision, which rounds a few values
    differently; its other numbers are those of Gemma4ImageProcessorPil with patches of the larger size."""
    def __init__(self, patch_size, pooling_kernel_size, **settings):
        self.theirs = Gemma4UnifiedImageProcessor(patch_size=patch_size, pooling_kernel_size=pooling_kernel_size, **settings)
        self.ours = Gemma4ImageProcessorPil(patch_size=patch_size * pooling_kernel_size, pooling_kernel_size=1, **settings)

    def __call__(self, **inputs):
        theirs, ours = self.theirs(**inputs), self.ours(**inputs)
        assert (theirs['image_position_ids'] == ours['image_position_ids']).all()
        assert (theirs['pixel_values'] - ours['pixel_values']).abs().max() < 2.01 / 255 / min(self.ours.image_std)
        return ours


def make(name, model_class, config, processing, settings, seed):
    """Saves a jittered random model with its results: each picture alone, then a padded batch of a text with one and one with two."""
    if ONLY and name not in ONLY:
        return
    torch.manual_seed(seed)
    model = model_class(config).eval()
    generator = seeded(seed + 1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
        for n, b in model.named_buffers():
            if n.endswith('_min') or n.endswith('_max'):
                # Limits that clip some of the numbers.
                b.copy_(torch.tensor(-1.0 if n.endswith('_min') else 1.0) * (0.3 + 0.4 * torch.rand((), generator=generator)))
            if n.endswith('std_bias') or n.endswith('std_scale') or n.endswith('layer_scalar'):
                b.copy_(1 + 0.1 * torch.randn(b.shape, generator=generator))
    folder = os.path.join(OUT, name)
    model.save_pretrained(folder)
    with open(os.path.join(folder, 'preprocessor_config.json'), 'w') as file:
        json.dump(dict(image_processor_type=processing.__name__.replace('Pil', '').replace('LargePatches', 'Gemma4UnifiedImageProcessor'), **settings), file, indent=2)
    processor = processing(**settings)
    text_golden(model, folder, META, seed, SOUND)
    images = [processor(images=[picture(*size)], return_tensors='pt') for size in SIZES]
    counts = [int(image.pop('num_soft_tokens_per_image')[0]) for image in images]
    seen = []
    for size, image, count in zip(SIZES, images, counts):
        with torch.no_grad():
            features = torch.cat(list(model.model.get_image_features(**image, return_dict=True).pooler_output))
        patches = image['pixel_values'][0][(image['image_position_ids'][0] != -1).all(-1)]
        seen.append(dict(width=size[0], height=size[1], vectors=count, text='<|image>' + '<|image|>' * count + '<image|>',
                         patches=dict(shape=list(patches.shape), sum=float(patches.double().sum()), first8=numbers(patches[-1][:8])), features=tensor(features[None])))
    placed = [[START, *[IMAGE] * count, END] for count in counts]
    texts = [dict(ids=[5, 17, *placed[0], 9, 41, 33, 8, 27, 12, 20, 6, 31, 45, 3, 28, 17], images=[0]), dict(ids=[7, *placed[1], 23, 11, *placed[2], 50, 14], images=[1, 2])]

    def inputs_of(texts):
        """A batch, padded on the right."""
        longest = max(len(text['ids']) for text in texts)
        ids = torch.tensor([text['ids'] + [0] * (longest - len(text['ids'])) for text in texts])
        mask = torch.tensor([[1] * len(text['ids']) + [0] * (longest - len(text['ids'])) for text in texts])
        own = [images[at] for text in texts for at in text['images']]
        return dict(input_ids=ids, attention_mask=mask, mm_token_type_ids=(ids == IMAGE).int(),
                    **{key: torch.cat([image[key] for image in own]) for key in ('pixel_values', 'image_position_ids')})

    for text in texts:
        inputs = inputs_of([text])
        out = model.generate(**inputs, do_sample=False, max_new_tokens=STEPS, min_new_tokens=STEPS)
        text['greedy'] = out[0, inputs['input_ids'].shape[1]:].tolist()
    inputs = inputs_of(texts)
    ids, mask = inputs['input_ids'], inputs['attention_mask']
    labels = ids.masked_fill((mask == 0) | (ids == IMAGE), -100)
    out = model(**inputs, labels=labels)
    out.loss.backward()
    eyes = ('vision_tower.', 'embed_vision.')
    grads = {n: summary(p.grad) for n, p in model.named_parameters() if p.grad is not None and not any(part in n for part in eyes)}
    golden = dict(meta=META, model=model_class.__name__, images=seen, texts=texts, batch=dict(inputs=dict(input_ids=tensor(ids), attention_mask=tensor(mask)),
                  labels=tensor(labels), loss=norm(out.loss), logits=tensor(out.logits), grads=grads))
    with open(os.path.join(folder, 'vision.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    print(name, golden['batch']['loss'], sum(p.numel() for p in model.parameters()), counts, [text['greedy'] for text in texts])


small = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, head_dim=8, global_head_dim=16,
             max_position_embeddings=256, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=True, sliding_window=5,
             num_hidden_layers=5, layer_types=['sliding_attention', 'sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
             num_kv_shared_layers=2, final_logit_softcapping=2.0)
ids = dict(image_token_id=IMAGE, boi_token_id=START, eoi_token_id=END, video_token_id=63, audio_token_id=SOUND, vision_soft_tokens_per_image=70)
# Heads of two sizes, the last two blocks without keys and values, an input for each block, MLPs of two widths. The encoder's layers clip, and
# its vectors are standardized. Tokens of an image see each other in blocks with a window, which is shorter than an image.
eyes = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8, patch_size=4, pooling_kernel_size=2,
            position_embedding_size=140, use_clipped_linears=True, standardize=True)
make('gemma4_images', Gemma4ForConditionalGeneration, Gemma4Config(text_config=dict(**small, vocab_size_per_layer_input=64, hidden_size_per_layer_input=6,
     use_double_wide_mlp=True, use_bidirectional_attention='vision'), vision_config=eyes, audio_config=None, **ids), Gemma4ImageProcessorPil,
     dict(patch_size=4, pooling_kernel_size=2, max_soft_tokens=70), 421)
# Keys that are also values, without inputs of blocks; no tower. Tokens of an image see each other in all blocks; the
# window is longer than an image, and shorter than the second text.
squares = dict(patch_size=2, pooling_kernel_size=2, mm_embed_dim=24, mm_posemb_size=70, output_proj_dims=24)
make('gemma4_unified', Gemma4UnifiedForConditionalGeneration, Gemma4UnifiedConfig(text_config=dict(**{**small, 'sliding_window': 72}, attention_k_eq_v=True, num_global_key_value_heads=1), vision_config=squares, audio_config=None, **ids), LargePatches, dict(patch_size=2, pooling_kernel_size=2, max_soft_tokens=70,
     do_normalize=True, image_mean=[0.5, 0.4, 0.3], image_std=[0.5, 0.6, 0.7]), 431)
