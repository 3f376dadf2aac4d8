"""Golden folders of SmolVLM and Idefics3: what the image processor, the encoder and the language model make of a few small pictures, with
the gradients of the text part and the tokens that generate writes. Deterministic (fixed seeds, 1 thread); needs torchvision 0.27 or newer,
Pillow and num2words.
run: OMP_NUM_THREADS=1 python make_smolvlm.py [folder [name of a golden folder…]]"""
import base64, json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
import numpy, torch, transformers
from as_json import norm, numbers, seeded, summary, tensor
from PIL import Image
from transformers import Idefics3Config, Idefics3ForConditionalGeneration, SmolVLMConfig, SmolVLMForConditionalGeneration
from transformers.models.idefics3.image_processing_idefics3 import Idefics3ImageProcessor
from transformers.models.smolvlm.image_processing_smolvlm import SmolVLMImageProcessor
from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
ONLY = sys.argv[2:]
META = dict(torch=torch.__version__, transformers=transformers.__version__,
            note='float32, eval mode; every parameter jittered by 0.1*randn; byte of a pixel: (x*7 + y*13 + channel*29 + x*y) % 256')
STEPS = 6
IMAGE, FAKE, WHOLE, LINE = 60, 61, 59, 58


def picture(width, height):
    y, x, channel = numpy.meshgrid(numpy.arange(height), numpy.arange(width), numpy.arange(3), indexing='ij')
    return Image.fromarray(((x * 7 + y * 13 + channel * 29 + x * y) % 256).astype(numpy.uint8))


def ids_of(text):
    """The ids of a layout's text; there is no tokenizer, so the places of tiles share a few ids."""
    ids = []
    while text:
        for token, found in (('<image>', IMAGE), ('<fake_token_around_image>', FAKE), ('<global-img>', WHOLE), ('\n', LINE)):
            if text.startswith(token):
                ids.append(found)
                break
        else:
            token = text[:text.index('>') + 1]
            ids.append(40 + int(token.split('_')[1]) * 4 + int(token.split('_')[3][:-1]))
        text = text[len(token):]
    return ids


def text_golden(model, folder, seed):
    """The results for a padded batch of texts without images."""
    ids = torch.randint(3, LINE, (2, 12), generator=seeded(seed + 2))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    labels = ids.masked_fill(mask == 0, -100)
    out = model(input_ids=ids, attention_mask=mask, labels=labels)
    out.loss.backward()
    golden = dict(meta=META, model=type(model).__name__, inputs=dict(input_ids=tensor(ids), attention_mask=tensor(mask)), labels=tensor(labels), loss=norm(out.loss),
                  logits=tensor(out.logits), grads={n: summary(p.grad) for n, p in model.named_parameters() if p.grad is not None})
    with open(os.path.join(folder, 'golden.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    model.zero_grad()


def make(name, model_class, config, processor, sizes, seed):
    """Saves a jittered random model with its results: each picture alone, then a padded batch of a text with one and one with two."""
    if ONLY and name not in ONLY:
        return
    torch.manual_seed(seed)
    model = model_class(config).eval()
    generator = seeded(seed + 1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    folder = os.path.join(OUT, name)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    text_golden(model, folder, seed)
    images = [processor(images=[picture(*size)], return_tensors='pt', return_row_col_info=True) for size in sizes]
    seen, texts_of = [], []
    mean, std = numpy.array(processor.image_mean), numpy.array(processor.image_std)
    for size, image in zip(sizes, images):
        [[rows]], [[columns]] = image.pop('rows'), image.pop('cols')
        with torch.no_grad():
            features = torch.cat(model.model.get_image_features(image['pixel_values'], image['pixel_attention_mask'], return_dict=True).pooler_output)
        views = image['pixel_values'][0].permute(0, 2, 3, 1).numpy()
        text = get_image_prompt_string(rows, columns, len(features) // len(views), '<fake_token_around_image>', '<image>', '<global-img>')
        texts_of.append(text)
        bytes_of = numpy.rint((views * std + mean) * 255).astype(numpy.uint8)
        seen.append(dict(width=size[0], height=size[1], vectors=len(features), text=text,
                         views=[dict(side=view.shape[0], bytes=base64.b64encode(view.tobytes()).decode()) for view in bytes_of], features=tensor(features[None])))
    placed = [ids_of(text) for text in texts_of]
    texts = [dict(ids=[5, 17, *placed[0], 9, 41, 33, 8, 27], images=[0]), dict(ids=[7, *placed[1], 23, 11, *placed[2], 50, 14], images=[1, 2])]

    def inputs_of(texts):
        """A batch, padded on the right with tokens and on the right with empty images."""
        longest, most = max(len(text['ids']) for text in texts), max(sum(images[at]['pixel_values'].shape[1] for at in text['images']) for text in texts)
        padded = lambda x, size: torch.cat([x, torch.zeros(1, size - x.shape[1], *x.shape[2:], dtype=x.dtype)], dim=1)
        together = lambda key: torch.cat([padded(torch.cat([images[at][key] for at in text['images']], dim=1), most) for text in texts])
        return dict(input_ids=torch.tensor([text['ids'] + [0] * (longest - len(text['ids'])) for text in texts]),
                    attention_mask=torch.tensor([[1] * len(text['ids']) + [0] * (longest - len(text['ids'])) for text in texts]),
                    pixel_values=together('pixel_values'), pixel_attention_mask=together('pixel_attention_mask'))

    for text in texts:
        inputs = inputs_of([text])
        out = model.generate(**inputs, do_sample=False, max_new_tokens=STEPS, min_new_tokens=STEPS)
        text['greedy'] = out[0, inputs['input_ids'].shape[1]:].tolist()
    inputs = inputs_of(texts)
    ids, mask = inputs['input_ids'], inputs['attention_mask']
    labels = ids.masked_fill((mask == 0) | (ids == IMAGE), -100)
    out = model(**inputs, labels=labels)
    out.loss.backward()
    grads = {n: summary(p.grad) for n, p in model.named_parameters() if p.grad is not None and ('.text_model.' in n or 'lm_head' in n)}
    golden = dict(meta=META, model=model_class.__name__, images=seen, texts=texts, batch=dict(inputs=dict(input_ids=tensor(ids), attention_mask=tensor(mask)),
                  labels=tensor(labels), loss=norm(out.loss), logits=tensor(out.logits), grads=grads))
    with open(os.path.join(folder, 'vision.json'), 'w') as file:
        json.dump(golden, file, separators=(',', ':'))
    print(name, golden['batch']['loss'], sum(p.numel() for p in model.parameters()), [len(image['views']) for image in seen], [text['greedy'] for text in texts],
          [len(text['ids']) for text in texts])


small = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=0)
# Tiles of the tower's size, four patches joined to one vector: 2 × 2 vectors per tile. The first picture gives 2 × 3 tiles, the second, with
# a side of one tile, 1 × 3, the third, square, 3 × 3.
eyes = dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3, image_size=16, patch_size=4)
make('smolvlm', SmolVLMForConditionalGeneration, SmolVLMConfig(text_config=small, vision_config=eyes, scale_factor=2, image_token_id=IMAGE),
     SmolVLMImageProcessor(size=dict(longest_edge=48), max_image_size=dict(longest_edge=16), image_mean=[0.5, 0.4, 0.3], image_std=[0.5, 0.6, 0.7]),
     [(30, 20), (70, 9), (13, 13)], 821)
# One tile for the whole picture, in another size than the tower's, whose positions its patches share; a tied head.
make('idefics3', Idefics3ForConditionalGeneration, Idefics3Config(text_config=dict(**small, tie_word_embeddings=True), vision_config={**eyes, 'image_size': 28},
     scale_factor=3, image_token_id=IMAGE, tie_word_embeddings=True),
     Idefics3ImageProcessor(size=dict(longest_edge=40), max_image_size=dict(longest_edge=24), do_image_splitting=False, resample=3), [(30, 20), (24, 24), (9, 50)], 831)
