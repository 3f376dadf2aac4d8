"""Golden folders of language models with a tower of SigLIP (SmolVLM, Idefics3, Gemma 3, LFM2-VL), Pixtral (Mistral 3, LightOnOCR), InternVL, LFM3-VL or MiniCPM-V: what the image processor, the encoder and
the language model make of a few small pictures, with the gradients of the text part and the tokens that generate writes. Deterministic (fixed seeds, 1
thread); needs torchvision 0.27 or newer, Pillow and num2words.
run: OMP_NUM_THREADS=1 python make_vision_towers.py [folder [name of a golden folder…]]"""
import base64, json, os, re, sys
from types import SimpleNamespace
os.environ['HF_HUB_OFFLINE'] = '1'
import numpy, torch, transformers
from as_json import norm, numbers, seeded, summary, tensor
from file_names import file_names
from pictures import NOTE, picture
from text_golden import text_golden
from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Idefics3Config, Idefics3ForConditionalGeneration, SmolVLMConfig, SmolVLMForConditionalGeneration
from transformers import InternVLConfig, InternVLForConditionalGeneration, Lfm2VlConfig, Lfm2VlForConditionalGeneration, Mistral3Config, Mistral3ForConditionalGeneration
from transformers import Lfm3VlConfig, Lfm3VlForConditionalGeneration, LightOnOcrConfig, LightOnOcrForConditionalGeneration, MiniCPMV4_6Config, MiniCPMV4_6ForConditionalGeneration
from transformers.models.gemma3.image_processing_gemma3 import Gemma3ImageProcessor
from transformers.models.got_ocr2.image_processing_got_ocr2 import GotOcr2ImageProcessor
from transformers.models.idefics3.image_processing_idefics3 import Idefics3ImageProcessor
from transformers.models.internvl.processing_internvl import InternVLProcessor
from transformers.models.lfm2_vl.image_processing_lfm2_vl import Lfm2VlImageProcessor
from transformers.models.lfm2_vl.processing_lfm2_vl import Lfm2VlProcessor
from transformers.models.lfm3_vl.processing_lfm3_vl import Lfm3VlProcessor
from transformers.models.lighton_ocr.processing_lighton_ocr import LightOnOcrProcessor
from transformers.models.minicpmv4_6.image_processing_minicpmv4_6 import MiniCPMV4_6ImageProcessor
from transformers.models.minicpmv4_6.processing_minicpmv4_6 import MiniCPMV4_6Processor
from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil
from transformers.models.pixtral.processing_pixtral import PixtralProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_smolvlm import SmolVLMImageProcessor
from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
ONLY = sys.argv[2:]
META = dict(torch=torch.__version__, transformers=transformers.__version__,
            note=f'float32, eval mode; every parameter jittered by 0.1*randn; {NOTE}')
STEPS = 6
# The parts that read images, which are not trained.
EYES = ('vision_model.', 'connector.', 'vision_tower.', 'model.merger.', 'multi_modal_projector.', 'vision_encoder.', 'vision_projection.')
IMAGE, FAKE, WHOLE, LINE = 60, 61, 59, 58
TOKENS = {'<image>': IMAGE, '<fake_token_around_image>': FAKE, '<global-img>': WHOLE, '\n\n': LINE, '\n': LINE, '<start_of_image>': FAKE, '<image_soft_token>': IMAGE,
          '<end_of_image>': WHOLE, '[IMG]': IMAGE, '[IMG_BREAK]': FAKE, '[IMG_END]': WHOLE,
          '<|image_pad|>': IMAGE, '<img>': FAKE, '<IMG_CONTEXT>': IMAGE, '</img>': WHOLE, '<|image_start|>': FAKE, '<|image_end|>': WHOLE, '<|img_thumbnail|>': LINE}


def ids_of(text):
    """The ids of a layout's text; there is no tokenizer, so the places of tiles share a few ids."""
    ids = []
    while text:
        token = next((token for token in TOKENS if text.startswith(token)), None) or text[:text.index('>') + 1]
        ids.append(TOKENS[token] if token in TOKENS else 40 + sum(int(n) * each for n, each in zip(re.findall(r'\d+', token), (4, 1))))
        text = text[len(token):]
    return ids


def bytes_of(processor, pixels):
    """The bytes of views, with their height if they are not square. pixels: each by channel, row and column"""
    mean, std = numpy.array(processor.image_mean), numpy.array(processor.image_std)
    views = [numpy.rint((view.permute(1, 2, 0).numpy() * std + mean) * 255).astype(numpy.uint8) for view in pixels]
    height = lambda view: {} if view.shape[0] == view.shape[1] else dict(height=view.shape[0])
    return dict(views=[dict(side=view.shape[1], **height(view), bytes=base64.b64encode(view.tobytes()).decode()) for view in views])


class Tiles:
    """SmolVLM's and Idefics3's images are one or several tiles."""
    def __init__(self, processor):
        self.processor = processor

    def read(self, size):
        image = self.processor(images=[picture(*size)], return_tensors='pt', return_row_col_info=True)
        [[rows]], [[columns]] = image.pop('rows'), image.pop('cols')
        return image, image['pixel_values'][0], (rows, columns)

    def seen(self, pixels):
        return bytes_of(self.processor, pixels)

    def features(self, model, image):
        return torch.cat(model.model.get_image_features(image['pixel_values'], image['pixel_attention_mask'], return_dict=True).pooler_output)

    def text(self, vectors, views, place):
        return get_image_prompt_string(*place, vectors // views, '<fake_token_around_image>', '<image>', '<global-img>')

    def inputs(self, images, ids):
        """Padded on the right with empty images."""
        most = max(sum(image['pixel_values'].shape[1] for image in own) for own in images)
        padded = lambda x, size: torch.cat([x, torch.zeros(1, size - x.shape[1], *x.shape[2:], dtype=x.dtype)], dim=1)
        return {key: torch.cat([padded(torch.cat([image[key] for image in own], dim=1), most) for own in images]) for key in ('pixel_values', 'pixel_attention_mask')}


class Squares:
    """Gemma's images are seen once."""
    def __init__(self, processor):
        self.processor = processor

    def read(self, size):
        image = self.processor(images=[picture(*size)], return_tensors='pt')
        return image, image['pixel_values'], None

    def seen(self, pixels):
        return bytes_of(self.processor, pixels)

    def features(self, model, image):
        return torch.cat(list(model.model.get_image_features(image['pixel_values'], return_dict=True).pooler_output))

    def text(self, vectors, views, place):
        return '\n\n<start_of_image>' + '<image_soft_token>' * vectors + '<end_of_image>\n\n'

    def inputs(self, images, ids):
        return dict(pixel_values=torch.cat([image['pixel_values'] for own in images for image in own]), token_type_ids=(ids == IMAGE).int())


class Grids:
    """InternVL's images are square tiles and the whole image in the size of one."""
    def __init__(self, processor, vectors):
        self.processor = processor
        self.whole = dict(image_seq_length=vectors, processor_class='InternVLProcessor')

    def read(self, size):
        image = self.processor(images=[picture(*size)], return_tensors='pt', **InternVLProcessor.images_kwargs)
        return image, image['pixel_values'], dict(num_patches=image.pop('num_patches').tolist())

    def seen(self, pixels):
        return bytes_of(self.processor, pixels)

    def features(self, model, image):
        return torch.cat(list(model.model.get_image_features(image['pixel_values'], return_dict=True).pooler_output))

    def text(self, vectors, views, place):
        tokens = dict(start_image_token='<img>', image_token='<IMG_CONTEXT>', end_image_token='</img>')
        return InternVLProcessor.replace_image_token(SimpleNamespace(**self.whole, **tokens), place, 0)

    def inputs(self, images, ids):
        return dict(pixel_values=torch.cat([image['pixel_values'] for own in images for image in own]))


class Naflex:
    """LFM2-VL's images are seen as a whole in about their size, or as tiles and a small picture of the whole."""
    def __init__(self, processor):
        self.processor = processor
        self.whole = object.__new__(Lfm2VlProcessor)
        self.whole.image_processor, self.whole.image_token = processor, '<image>'
        self.whole.image_start_token, self.whole.image_end_token, self.whole.image_thumbnail_token = '<|image_start|>', '<|image_end|>', '<|img_thumbnail|>'

    def read(self, size):
        image = self.processor(images=[picture(*size)], return_tensors='pt', return_row_col_info=True)
        place = {key: image.pop(key) for key in ('image_rows', 'image_cols', 'image_sizes')}
        side = self.processor.encoder_patch_size
        views = [patches[:rows * columns].view(rows, columns, side, side, 3).permute(4, 0, 2, 1, 3).reshape(3, rows * side, columns * side)
                 for patches, (rows, columns) in zip(image['pixel_values'], image['spatial_shapes'].tolist())]
        return image, views, place

    def seen(self, pixels):
        return bytes_of(self.processor, pixels)

    def features(self, model, image):
        return torch.cat(model.model.get_image_features(**image, return_dict=True).pooler_output)

    def text(self, vectors, views, place):
        return self.whole.replace_image_token(place, 0, use_image_special_tokens=True)

    def inputs(self, images, ids):
        return {key: torch.cat([image[key] for own in images for image in own]) for key in ('pixel_values', 'pixel_attention_mask', 'spatial_shapes')}


class Rows:
    """Mistral's images have any size, and a token ends each row."""
    def __init__(self, processor, patch, merged):
        self.processor, self.patch, self.merged = processor, patch, merged
        self.whole = dict(image_token='[IMG]', image_break_token='[IMG_BREAK]', image_end_token='[IMG_END]', patch_size=patch, spatial_merge_size=merged,
                          processor_class='PixtralProcessor')

    def read(self, size):
        image = self.processor(images=[picture(*size)], patch_size=self.patch * self.merged, return_tensors='pt')
        return image, image['pixel_values'], image

    def seen(self, pixels):
        """The patches, by channel, row and column."""
        patches = torch.nn.functional.unfold(pixels, self.patch, stride=self.patch)[0].T
        return dict(patches=dict(shape=list(patches.shape), sum=float(patches.double().sum()), first8=numbers(patches[-1][:8])))

    def features(self, model, image):
        return torch.cat(model.model.get_image_features(image['pixel_values'], image['image_sizes'], return_dict=True).pooler_output)

    def text(self, vectors, views, place):
        return PixtralProcessor.replace_image_token(SimpleNamespace(**self.whole), place, 0)

    def inputs(self, images, ids):
        images = [image for own in images for image in own]
        most = torch.cat([image['image_sizes'] for image in images]).amax(0).tolist()
        padded = [torch.nn.functional.pad(image['pixel_values'], (0, most[1] - image['pixel_values'].shape[3], 0, most[0] - image['pixel_values'].shape[2]))
                  for image in images]
        return dict(pixel_values=torch.cat(padded), image_sizes=torch.cat([image['image_sizes'] for image in images]))


class PlainRows(Rows):
    """LightOnOCR's images have no marks. Their patches at the edge may form no whole square."""
    def __init__(self, processor, patch, merged):
        self.processor, self.patch = processor, patch
        self.whole = dict(patch_size=patch, spatial_merge_size=merged, processor_class='LightOnOcrProcessor')
        self.text_of = SimpleNamespace(effective_patch_size=patch * merged, image_token='<|image_pad|>')

    def read(self, size):
        image = self.processor(images=[picture(*size)], return_tensors='pt')
        return image, image['pixel_values'], image

    def text(self, vectors, views, place):
        return LightOnOcrProcessor.replace_image_token(self.text_of, place, 0)


class Smart:
    """LFM3-VL's images have about their own size."""
    def __init__(self, processor):
        self.processor = processor
        self.text_of = SimpleNamespace(image_processor=processor, image_token='<|image_pad|>')

    def read(self, size):
        image = self.processor(images=[picture(*size)], return_tensors='pt')
        return image, image['pixel_values'], image

    def seen(self, pixels):
        """The patches, by channel, row and column; a still image is repeated in time."""
        patches = pixels.view(len(pixels), 3, self.processor.temporal_patch_size, -1)[:, :, 0].reshape(len(pixels), -1)
        return dict(patches=dict(shape=list(patches.shape), sum=float(patches.double().sum()), first8=numbers(patches[-1][:8])))

    def features(self, model, image):
        return torch.cat(list(model.model.get_image_features(image['pixel_values'], image['image_grid_thw'], return_dict=True).pooler_output))

    def text(self, vectors, views, place):
        return Lfm3VlProcessor.replace_image_token(self.text_of, place, 0)

    def inputs(self, images, ids):
        return {key: torch.cat([image[key] for own in images for image in own]) for key in ('pixel_values', 'image_grid_thw')}


class Slices:
    """MiniCPM-V's images are a picture of the whole, and slices of a large one."""
    # The names of its tokens are those of other tokens in other families.
    OTHERS = {'<image>': '<start_of_image>', '</image>': '<end_of_image>', '<slice>': '<img>', '</slice>': '</img>'}

    def __init__(self, processor):
        self.processor = processor
        self.text_of = object.__new__(MiniCPMV4_6Processor)
        for name, token in dict(image_token='<|image_pad|>', image_start_token='<image>', image_end_token='</image>', slice_start_token='<slice>',
                                slice_end_token='</slice>', slice_mode=True).items():
            setattr(self.text_of, name, token)

    def read(self, size):
        image = self.processor(images=[picture(*size)], return_tensors='pt')
        place = {key: image[key] for key in ('grids', 'num_patches_per_image', 'target_sizes')}
        side, views, start = self.processor.patch_size, [], 0
        for rows, columns in image['target_sizes'].tolist():
            patches = image['pixel_values'][0, :, :, start:start + rows * columns * side]
            views.append(patches.view(3, side, rows, columns, side).permute(0, 2, 1, 3, 4).reshape(3, rows * side, columns * side))
            start += rows * columns * side
        return image, views, place

    def seen(self, pixels):
        return bytes_of(self.processor, pixels)

    def features(self, model, image):
        return torch.cat(model.model.get_image_features(image['pixel_values'], image['target_sizes'], return_dict=True).pooler_output)

    def text(self, vectors, views, place):
        return self.text_of.replace_image_token(place, 0, image_token_divisor=16)

    def ids(self, text):
        for own, other in self.OTHERS.items():
            text = text.replace(own, other)
        return ids_of(text)

    def inputs(self, images, ids):
        images = [image for own in images for image in own]
        return dict(pixel_values=torch.cat([image['pixel_values'] for image in images], dim=-1), target_sizes=torch.cat([image['target_sizes'] for image in images]))


def make(name, model_class, config, reader, sizes, seed, tail=(), with_text=True):
    """Saves a jittered random model with its results: each picture alone, then a padded batch of a text with one and one with two.
    with_text: whether texts without images get results too, which another folder of the family may have"""
    if ONLY and name not in ONLY:
        return
    torch.manual_seed(seed)
    model = model_class(config).eval()
    generator = seeded(seed + 1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    folder = os.path.join(OUT, name)
    processor = reader.processor
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    if isinstance(whole := getattr(reader, 'whole', None), dict):
        with open(os.path.join(folder, 'processor_config.json'), 'w') as file:
            json.dump(whole, file, indent=2)
    # Of these models alone, our names are those in the file.
    names = file_names(model, folder) if model_class is Lfm3VlForConditionalGeneration else {name: name for name, _ in model.named_parameters()}
    if with_text:
        text_golden(model, folder, META, seed, LINE, lambda name, values: [(names[name], values)])
    read = [reader.read(size) for size in sizes]
    images = [image for image, _, _ in read]
    seen, texts_of = [], []
    for size, (image, pixels, place) in zip(sizes, read):
        with torch.no_grad():
            features = reader.features(model, image)
        text = reader.text(len(features), len(pixels), place)
        texts_of.append(text)
        seen.append(dict(width=size[0], height=size[1], vectors=len(features), text=text, **reader.seen(pixels), features=tensor(features[None])))
    placed = [getattr(reader, 'ids', ids_of)(text) for text in texts_of]
    texts = [dict(ids=[5, 17, *placed[0], 9, 41, 33, 8, 27, *tail], images=[0]), dict(ids=[7, *placed[1], 23, 11, *placed[2], 50, 14], images=[1, 2])]

    def inputs_of(texts):
        """A batch, padded on the right."""
        longest = max(len(text['ids']) for text in texts)
        ids = torch.tensor([text['ids'] + [0] * (longest - len(text['ids'])) for text in texts])
        mask = torch.tensor([[1] * len(text['ids']) + [0] * (longest - len(text['ids'])) for text in texts])
        return dict(input_ids=ids, attention_mask=mask, **reader.inputs([[images[at] for at in text['images']] for text in texts], ids))

    for text in texts:
        inputs = inputs_of([text])
        out = model.generate(**inputs, do_sample=False, max_new_tokens=STEPS, min_new_tokens=STEPS)
        text['greedy'] = out[0, inputs['input_ids'].shape[1]:].tolist()
    inputs = inputs_of(texts)
    ids, mask = inputs['input_ids'], inputs['attention_mask']
    labels = ids.masked_fill((mask == 0) | (ids == IMAGE), -100)
    out = model(**inputs, labels=labels)
    out.loss.backward()
    grads = {names[n]: summary(p.grad) for n, p in model.named_parameters() if p.grad is not None and not any(part in n for part in EYES)}
    golden = dict(meta=META, model=model_class.__name__, images=seen, texts=texts, batch=dict(inputs=dict(input_ids=tensor(ids), attention_mask=tensor(mask)),
                  labels=tensor(labels), loss=norm(out.loss), logits=tensor(out.logits), grads=grads))
    with open(os.path.join(folder, 'vision.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    print(name, golden['batch']['loss'], sum(p.numel() for p in model.parameters()), [image['vectors'] for image in seen], [text['greedy'] for text in texts],
          [len(text['ids']) for text in texts])


small = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=0)
# Tiles of the tower's size, four patches joined to one vector: 2 × 2 vectors per tile. The first picture gives 2 × 3 tiles, the second, with
# a side of one tile, 1 × 3, the third, square, 3 × 3.
eyes = dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3, image_size=16, patch_size=4)
make('smolvlm', SmolVLMForConditionalGeneration, SmolVLMConfig(text_config=small, vision_config=eyes, scale_factor=2, image_token_id=IMAGE),
     Tiles(SmolVLMImageProcessor(size=dict(longest_edge=48), max_image_size=dict(longest_edge=16), image_mean=[0.5, 0.4, 0.3], image_std=[0.5, 0.6, 0.7])),
     [(30, 20), (70, 9), (13, 13)], 821)
# One tile for the whole picture, in another size than the tower's, whose positions its patches share; a tied head.
make('idefics3', Idefics3ForConditionalGeneration, Idefics3Config(text_config=dict(**small, tie_word_embeddings=True), vision_config={**eyes, 'image_size': 28},
     scale_factor=3, image_token_id=IMAGE, tie_word_embeddings=True),
     Tiles(Idefics3ImageProcessor(size=dict(longest_edge=40), max_image_size=dict(longest_edge=24), do_image_splitting=False, resample=3)), [(30, 20), (24, 24), (9, 50)], 831)
# Nine vectors per image, means of four patches each; the window of the first and the third block is shorter than an image, and longer than
# the padding, whose tokens would otherwise see nothing.
gemma = {**small, 'num_hidden_layers': 3, 'head_dim': 12, 'tie_word_embeddings': True}
make('gemma3_vision', Gemma3ForConditionalGeneration, Gemma3Config(text_config=dict(**gemma, query_pre_attn_scalar=20, sliding_window=5,
     layer_types=['sliding_attention', 'full_attention', 'sliding_attention'], rope_parameters=dict(full_attention=dict(rope_type='linear', rope_theta=10000.0, factor=4.0),
     sliding_attention=dict(rope_type='default', rope_theta=100.0))), vision_config={**eyes, 'image_size': 24, 'vision_use_head': False}, mm_tokens_per_image=9, boi_token_index=FAKE,
     eoi_token_index=WHOLE, image_token_index=IMAGE), Squares(Gemma3ImageProcessor(size=dict(height=24, width=24), image_std=[0.5, 0.6, 0.7])), [(30, 20), (24, 24), (10, 40)], 841,
     tail=(12, 20, 6, 31, 45, 3, 28, 17, 39))
# Squares of 2 × 2 patches: 3 rows of 4 vectors, 2 of 5 in a picture that is made smaller, 3 of one; a text part whose queries grow with their place.
rope = dict(rope_type='yarn', rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16, mscale=1.0, mscale_all_dim=0.5, llama_4_scaling_beta=0.2)
make('mistral3_vision', Mistral3ForConditionalGeneration, Mistral3Config(text_config=dict(**small, model_type='ministral3', head_dim=16, rope_parameters=rope),
     vision_config=dict(**{**eyes, 'num_attention_heads': 2}, model_type='pixtral', hidden_act='silu', rope_parameters=dict(rope_type='axial', rope_theta=100.0)),
     image_token_index=IMAGE, spatial_merge_size=2, multimodal_projector_bias=True, tie_word_embeddings=False),
     Rows(PixtralImageProcessorPil(size=dict(longest_edge=40), image_std=[0.5, 0.6, 0.7]), 4, 2), [(30, 20), (90, 35), (7, 21)], 851, with_text=False)
# The first picture gives 2 × 3 tiles of 2 × 2 vectors and the whole in 2 × 3; the second is seen as a whole, the third is made larger. The table of
# positions has fewer rows than the patches of some views, and more columns than those of others.
make('lfm2_vl', Lfm2VlForConditionalGeneration, Lfm2VlConfig(text_config=dict(**{key: value for key, value in small.items() if key != 'rms_norm_eps'}, model_type='lfm2',
     layer_types=['conv', 'full_attention'], block_auto_adjust_ff_dim=False), vision_config=dict(**{key: value for key, value in eyes.items() if key != 'image_size'},
     model_type='siglip2_vision_model', num_patches=25, vision_use_head=False), image_token_id=IMAGE, projector_hidden_size=20, tie_word_embeddings=False),
     Naflex(Lfm2VlImageProcessor(encoder_patch_size=4, tile_size=16, min_image_tokens=4, max_image_tokens=8, max_tiles=6, image_std=[0.5, 0.6, 0.7])),
     [(50, 30), (20, 28), (5, 7)], 861)
# The first picture gives 3 × 2 tiles of 2 × 2 vectors and the whole, the second one tile, the third 1 × 3.
make('internvl', InternVLForConditionalGeneration, InternVLConfig(text_config=dict(**small, model_type='qwen3', head_dim=12), vision_config=eyes, image_token_id=IMAGE,
     tie_word_embeddings=False), Grids(GotOcr2ImageProcessor(size=dict(height=16, width=16), max_patches=6, image_std=[0.5, 0.6, 0.7]), 4), [(30, 20), (13, 13), (9, 40)], 871)
# Tiles that are smaller than the tower's images, and at least two of them; biases and a norm in the tower; a tied head.
make('internvl_resized', InternVLForConditionalGeneration, InternVLConfig(text_config=dict(**small, model_type='qwen2'),
     vision_config={**eyes, 'image_size': 24, 'attention_bias': True, 'use_mean_pooling': False}, downsample_ratio=0.25, image_token_id=IMAGE, tie_word_embeddings=True),
     Grids(GotOcr2ImageProcessor(size=dict(height=16, width=16), min_patches=2, image_std=[0.5, 0.6, 0.7]), 1), [(30, 20), (13, 13), (40, 24)], 881, with_text=False)
# The tower of the largest models: root-mean-square norms, also of queries and keys.
make('internvl_rms', InternVLForConditionalGeneration, InternVLConfig(text_config=dict(**small, model_type='qwen3', head_dim=12), vision_config={**eyes, 'norm_type': 'rms_norm', 'use_qk_norm': True},
     image_token_id=IMAGE, tie_word_embeddings=True), Grids(GotOcr2ImageProcessor(size=dict(height=16, width=16), max_patches=2), 4), [(30, 20), (13, 13), (9, 40)], 891, with_text=False)
# Convolutions around a block of attention with fewer heads of keys than of queries; the text part has gates, norms around its parts and all three kinds
# of blocks. The padding is shorter than the window.
make('lfm3_vl', Lfm3VlForConditionalGeneration, Lfm3VlConfig(text_config=dict(**{**{key: value for key, value in small.items() if key != 'rms_norm_eps'}, 'num_hidden_layers': 3},
     model_type='lfm3', head_dim=8, layer_types=['conv', 'full_attention', 'sliding_attention'], sliding_window=5), vision_config=dict(hidden_size=16, intermediate_size=40,
     num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, layer_types=['conv', 'full_attention', 'conv'], patch_size=4, rope_parameters=dict(rope_type='axial', rope_theta=100.0)),
     image_token_id=IMAGE, video_token_id=59, projector_hidden_size=20), Smart(Qwen2VLImageProcessorPil(size=dict(shortest_edge=256, longest_edge=2048), patch_size=4, merge_size=2,
     image_std=[0.5, 0.6, 0.7])), [(20, 28), (24, 16), (64, 48)], 901,
     tail=(12, 20, 6, 31, 45, 3, 28, 17, 39, 11, 52, 14, 38, 7, 26, 44, 21))
# Pictures of 7 × 5 and 10 × 4 patches and one of 2 × 6: the first has patches that form no whole square.
make('lighton_ocr', LightOnOcrForConditionalGeneration, LightOnOcrConfig(text_config=dict(**small, model_type='qwen3', head_dim=12, tie_word_embeddings=True),
     vision_config=dict(**{**eyes, 'num_attention_heads': 2}, model_type='pixtral', hidden_act='silu', rope_parameters=dict(rope_type='axial', rope_theta=100.0)), image_token_id=IMAGE),
     PlainRows(PixtralImageProcessorPil(size=dict(longest_edge=40), patch_size=dict(height=4, width=4), image_std=[0.5, 0.6, 0.7]), 4, 2), [(27, 20), (90, 35), (7, 21)], 911)
# The first picture gives 1 × 2 slices and the whole, the second and the third are seen as wholes that are made larger. The table of positions has fewer
# rows than the patches of one view, and more columns than those of another.
make('minicpm_v', MiniCPMV4_6ForConditionalGeneration, MiniCPMV4_6Config(text_config=dict(**small, model_type='qwen3_5_text', head_dim=16, layer_types=['linear_attention', 'full_attention'],
     linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=6, tie_word_embeddings=True), vision_config={**eyes, 'image_size': 40, 'num_hidden_layers': 3},
     insert_layer_id=1, image_token_id=IMAGE, video_token_id=57, tie_word_embeddings=True), Slices(MiniCPMV4_6ImageProcessor(scale_resolution=32, patch_size=4, max_slice_nums=4,
     image_std=[0.5, 0.6, 0.7])), [(50, 30), (20, 28), (13, 40)], 931, tail=(12, 20, 6, 31, 45, 3, 28, 17, 39))
