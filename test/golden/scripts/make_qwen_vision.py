"""Golden folders of models with Qwen's processor of images, or one like it (Qwen, GLM-4V, GLM-OCR, PaddleOCR-VL): what the image processor, the encoder and the language model make of a few small
pictures, with the gradients of the text part and the tokens that generate writes. Deterministic (fixed seeds, 1 thread); needs Pillow.
run: OMP_NUM_THREADS=1 python make_qwen_vision.py [folder [name of a golden folder…]]"""
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import torch, transformers
from as_json import norm, numbers, seeded, summary, tensor
from file_names import file_names
from make_expert_families import parts_of
from pictures import NOTE, picture
from text_golden import text_golden
from safetensors.torch import load_file, save_file
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers import Qwen3_5MoeConfig, Qwen3_5MoeForConditionalGeneration
from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration, Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers import Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration
from transformers import Glm4vConfig, Glm4vForConditionalGeneration, GlmOcrConfig, GlmOcrForConditionalGeneration
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil
from transformers import PaddleOCRVLConfig, PaddleOCRVLForConditionalGeneration
from transformers.models.paddleocr_vl.image_processing_pil_paddleocr_vl import PaddleOCRVLImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
ONLY = sys.argv[2:]
META = dict(torch=torch.__version__, transformers=transformers.__version__,
            note=f'float32, eval mode; every parameter jittered by 0.1*randn; {NOTE}')
STEPS = 6
IMAGE, START, END = 60, 62, 63
# Width and height: one that is resized in both directions, one that stays, one that is too large, one that is too small.
SIZES = [(20, 28), (24, 16), (64, 48), (8, 12)]


def as_published(model_class, folder, model):
    """Rewrites the file as Qwen publishes Qwen3-VL's experts, [experts, in, out], and returns the model that Transformers makes of it."""
    path = os.path.join(folder, 'model.safetensors')
    turned = {n: v.transpose(1, 2).contiguous() if '.mlp.experts.' in n else v for n, v in load_file(path).items()}
    save_file(turned, path, metadata=dict(format='pt'))
    found = model_class.from_pretrained(folder, dtype=torch.float32).eval()
    own = model.state_dict()
    assert all(torch.equal(own[n], v) for n, v in found.state_dict().items())
    return found


def make(name, model_class, config, processing, seed, with_text=False, processor_class=Qwen2VLImageProcessorPil):
    """Saves a jittered random model with its results: each picture alone, then a padded batch of a text with one and one with two.
    with_text: whether texts without images get results too, which other folders of the family have"""
    if ONLY and name not in ONLY:
        return
    torch.manual_seed(seed)
    model = model_class(config).eval()
    generator = seeded(seed + 1)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if n.endswith('A_log'):
                p.copy_(torch.linspace(-5.0, 0.0, p.numel()))
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    folder = os.path.join(OUT, name)
    model.save_pretrained(folder)
    if model_class is Qwen3VLMoeForConditionalGeneration:
        model = as_published(model_class, folder, model)
    processor = processor_class(**processing)
    written = {key: value for key, value in processing.items()}
    with open(os.path.join(folder, 'preprocessor_config.json'), 'w') as file:
        json.dump(dict(image_processor_type=processor_class.__name__.removesuffix('Pil'), **written), file, indent=2)
    merge = processing['merge_size'] ** 2
    images = [processor(images=[picture(*size)], return_tensors='pt') for size in SIZES]
    counts = [int(image['image_grid_thw'].prod()) // merge for image in images]
    seen = []
    for size, image, count in zip(SIZES, images, counts):
        with torch.no_grad():
            found = model.model.get_image_features(image['pixel_values'], image['image_grid_thw'], return_dict=True)
        sets = [torch.cat(list(each), dim=0) for each in [found.pooler_output, *(getattr(found, 'deepstack_features', None) or [])]]
        # A still image is repeated in time.
        patches = image['pixel_values'].view(image['pixel_values'].shape[0], 3, processing['temporal_patch_size'], -1)[:, :, 0].reshape(len(image['pixel_values']), -1)
        _, rows, columns = [int(n) for n in image['image_grid_thw'][0]]
        seen.append(dict(width=size[0], height=size[1], vectors=count, grid=[rows // processing['merge_size'], columns // processing['merge_size']],
                         patches=dict(shape=list(patches.shape), sum=float(patches.double().sum()), first8=numbers(patches[-1][:8])), features=tensor(torch.stack(sets))))
    placed = lambda at: [START, *[IMAGE] * counts[at], END]
    texts = [dict(ids=[5, 17, *placed(0), 9, 41, 33, 8, 27], images=[0]), dict(ids=[7, *placed(1), 23, 11, *placed(3), 50, 14], images=[1, 3]),
             dict(ids=[*placed(2), 19, 4, 37, 22], images=[2])]
    together = lambda which, key: torch.cat([images[at][key] for at in which], dim=0)

    def greedy(text):
        ids = torch.tensor([text['ids']])
        model.model.rope_deltas = None
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), mm_token_type_ids=(ids == IMAGE).int(), do_sample=False, max_new_tokens=STEPS,
                             min_new_tokens=STEPS, pixel_values=together(text['images'], 'pixel_values'), image_grid_thw=together(text['images'], 'image_grid_thw'))
        return out[0, ids.shape[1]:].tolist()

    for text in texts:
        ids = torch.tensor([text['ids']])
        at, delta = model.model.get_rope_index(ids, mm_token_type_ids=(ids == IMAGE).int(), image_grid_thw=together(text['images'], 'image_grid_thw'))
        text.update(positions=at[:, 0].tolist(), next=int(delta) + ids.shape[1], greedy=greedy(text))
    model.model.rope_deltas = None
    batch = texts[:2]
    longest = max(len(text['ids']) for text in batch)
    ids = torch.tensor([text['ids'] + [0] * (longest - len(text['ids'])) for text in batch])
    mask = torch.tensor([[1] * len(text['ids']) + [0] * (longest - len(text['ids'])) for text in batch])
    labels = ids.masked_fill((mask == 0) | (ids >= IMAGE), -100)
    which = [at for text in batch for at in text['images']]
    out = model(input_ids=ids, attention_mask=mask, mm_token_type_ids=(ids == IMAGE).int(), labels=labels, pixel_values=together(which, 'pixel_values'),
                image_grid_thw=together(which, 'image_grid_thw'))
    out.loss.backward()
    # Experts have other tensors in memory; folders of the text part compare their gradients.
    has_experts = hasattr(config.get_text_config(), 'num_experts')
    names = {n: n for n, _ in model.named_parameters()} if has_experts else file_names(model, folder)
    grads = {names[n]: summary(p.grad) for n, p in model.named_parameters() if p.grad is not None and '.visual.' not in n and '.projector.' not in n and '.mlp.experts.' not in n}
    golden = dict(meta=META, model=model_class.__name__, images=seen, texts=texts, batch=dict(inputs=dict(input_ids=tensor(ids), attention_mask=tensor(mask)),
                  labels=tensor(labels), loss=norm(out.loss), logits=tensor(out.logits), grads=grads))
    with open(os.path.join(folder, 'vision.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    if with_text:
        text_golden(model, folder, META, seed, IMAGE, lambda n, g: parts_of(model, n, g) if '.mlp.experts.' in n else [(names[n], g)])
    print(name, golden['batch']['loss'], sum(p.numel() for p in model.parameters()), counts, [text['greedy'] for text in texts])


small = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=32,
             max_position_embeddings=128, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=0)
eyes = dict(depth=3, hidden_size=24, intermediate_size=40, num_heads=3, patch_size=4, out_hidden_size=32, num_position_embeddings=25)
processing = dict(size=dict(shortest_edge=256, longest_edge=2048), patch_size=4, temporal_patch_size=2, merge_size=2, image_mean=[0.5, 0.4, 0.3],
                  image_std=[0.5, 0.6, 0.7])
ids = dict(image_token_id=IMAGE, video_token_id=61, vision_start_token_id=START, vision_end_token_id=END)
# Each of the three directions rotates two or three of the eight pairs of features.
make('qwen3_5_vision', Qwen3_5ForConditionalGeneration, Qwen3_5Config(text_config=dict(**small, layer_types=['linear_attention', 'full_attention'],
     linear_num_key_heads=2, linear_num_value_heads=2, linear_key_head_dim=8, linear_value_head_dim=6,
     rope_parameters=dict(rope_type='default', rope_theta=100.0, partial_rotary_factor=0.5, mrope_section=[3, 3, 2], mrope_interleaved=True)),
     vision_config=eyes, **ids), processing, 801)
# Two intermediate blocks of the encoder give vectors that are added after the first blocks of the text part; a tied head.
make('qwen3_vl', Qwen3VLForConditionalGeneration, Qwen3VLConfig(text_config=dict(**{**small, 'num_hidden_layers': 3, 'head_dim': 16}, rope_parameters=dict(
     rope_type='default', rope_theta=100.0, mrope_section=[4, 2, 2], mrope_interleaved=True)), vision_config=dict(**{**eyes, 'hidden_size': 16, 'num_heads': 2}, deepstack_visual_indexes=[0, 1]),
     tie_word_embeddings=True, **ids), processing, 811, with_text=True)
# Most blocks of the encoder have windows of 2 × 2 vectors, some of which the border cuts off; each direction rotates pairs that follow each other. A head
# of 16 features has eight pairs.
windows = {key: value for key, value in eyes.items() if key != 'num_position_embeddings'}
make('qwen2_5_vl', Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLConfig(text_config=dict(**{key: value for key, value in small.items() if key != 'head_dim'} | dict(
     num_attention_heads=2, num_key_value_heads=1), rope_parameters=dict(rope_type='default', rope_theta=100.0, mrope_section=[4, 2, 2])), vision_config=dict(**{**windows,
     'hidden_size': 16, 'num_heads': 2}, window_size=16, fullatt_block_indexes=[1]), **ids), processing, 821, with_text=True)
# The same with a mixture of experts.
make('qwen3_5_moe_vision', Qwen3_5MoeForConditionalGeneration, Qwen3_5MoeConfig(text_config=dict(**{**small, 'head_dim': 16}, layer_types=['linear_attention', 'full_attention'],
     linear_num_key_heads=2, linear_num_value_heads=2, linear_key_head_dim=8, linear_value_head_dim=6, moe_intermediate_size=16, shared_expert_intermediate_size=20,
     num_experts=4, num_experts_per_tok=2, rope_parameters=dict(rope_type='default', rope_theta=100.0, partial_rotary_factor=0.5, mrope_section=[2, 1, 1],
     mrope_interleaved=True)), vision_config=dict(**{**eyes, 'depth': 1, 'hidden_size': 16, 'num_heads': 2}), **ids), processing, 831)
# Qwen3-VL's with experts, whose file has one tensor [experts, in, out] for gate and up, and one for down; the first block has an MLP.
make('qwen3_vl_moe', Qwen3VLMoeForConditionalGeneration, Qwen3VLMoeConfig(text_config=dict(**{**small, 'num_hidden_layers': 3, 'head_dim': 16}, moe_intermediate_size=20,
     num_experts=4, num_experts_per_tok=2, mlp_only_layers=[0], rope_parameters=dict(rope_type='default', rope_theta=100.0, mrope_section=[4, 2, 2], mrope_interleaved=True)),
     vision_config=dict(**{**eyes, 'hidden_size': 16, 'num_heads': 2}, deepstack_visual_indexes=[0, 1]), tie_word_embeddings=False, **ids), processing, 841, with_text=True)
# Without windows, learned positions or a bias of patches.
make('qwen2_vl', Qwen2VLForConditionalGeneration, Qwen2VLConfig(text_config=dict(**{key: value for key, value in small.items() if key != 'head_dim'} | dict(
     num_attention_heads=2, num_key_value_heads=1), rope_parameters=dict(rope_type='default', rope_theta=100.0, mrope_section=[4, 2, 2])), vision_config=dict(
     depth=2, embed_dim=16, hidden_size=32, mlp_ratio=2, num_heads=2, patch_size=4), **ids), processing, 851, with_text=True)
# A table of 5 × 5 positions, interpolated for more and for fewer patches; half of each head of the text part rotates, in pairs of neighboring features.
ids = dict(image_token_id=IMAGE, video_token_id=61, image_start_token_id=START, image_end_token_id=END, video_start_token_id=58, video_end_token_id=59)
glm_eyes = dict(depth=2, hidden_size=16, num_heads=2, patch_size=4, out_hidden_size=32, intermediate_size=24, image_size=20)
glm_text = {**{key: value for key, value in small.items() if key != 'head_dim'}, 'num_attention_heads': 2, 'num_key_value_heads': 1}
make('glm4v', Glm4vForConditionalGeneration, Glm4vConfig(text_config=dict(**glm_text, rope_parameters=dict(rope_type='default', rope_theta=100.0,
     partial_rotary_factor=0.5, mrope_section=[2, 1, 1])), vision_config=dict(**glm_eyes, attention_bias=True), **ids), {**processing, 'size': dict(shortest_edge=512, longest_edge=4096)},
     861, with_text=True, processor_class=Glm4vImageProcessorPil)
# Norms of heads and biases in the tower, and no table; heads of the text part that are wider than their share; a tied head.
make('glm_ocr', GlmOcrForConditionalGeneration, GlmOcrConfig(text_config=dict(**glm_text, head_dim=24, rope_parameters=dict(rope_type='default', rope_theta=100.0,
     mrope_section=[4, 4, 4])), vision_config=glm_eyes, tie_word_embeddings=True, **ids), {**processing, 'size': dict(shortest_edge=512, longest_edge=4096)}, 871, with_text=True,
     processor_class=Glm4vImageProcessorPil)
# A table of 5 × 5 positions; all of a head rotates, in halves. Every layer of the text part has a bias.
ids = dict(image_token_id=IMAGE, video_token_id=61, vision_start_token_id=START, vision_end_token_id=END)
make('paddleocr_vl', PaddleOCRVLForConditionalGeneration, PaddleOCRVLConfig(text_config=dict(**glm_text, head_dim=16, use_bias=True, tie_word_embeddings=False, rope_parameters=dict(rope_type='default',
     rope_theta=100.0, mrope_section=[4, 2, 2])), vision_config=dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, patch_size=4, image_size=22),
     tie_word_embeddings=False, **ids), {**processing, 'temporal_patch_size': 1}, 881, with_text=True, processor_class=PaddleOCRVLImageProcessorPil)
