"""Writes a small picture processed by Transformers' image processors with PIL: test/golden/image_preprocessing/ (see ../README.md)."""
import json
import os

import numpy as np
import PIL
import transformers
from PIL import Image
from transformers import ConvNextImageProcessorPil, DeiTImageProcessorPil, ViTImageProcessorPil

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'image_preprocessing')
os.makedirs(OUT, exist_ok=True)
HEIGHT, WIDTH = 44, 60
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
disc = ((y - 20) ** 2 + (x - 24) ** 2 < 150).astype(float)
planes = [120 + 100 * np.sin(x / 7) * np.cos(y / 9), 255 * x / WIDTH * (1 - disc), 60 + 150 * disc + 40 * ((x // 5 + y // 5) % 2)]
pixels = np.stack([np.clip(plane, 0, 255) for plane in planes], axis=-1).astype(np.uint8)
Image.fromarray(pixels).save(os.path.join(OUT, 'picture.png'))

half = dict(image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5])
imagenet = dict(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
processors = {
    'vit': ViTImageProcessorPil(size=dict(height=24, width=24), resample=2, **half),
    'vit_larger': ViTImageProcessorPil(size=dict(height=50, width=66), resample=2, **half),
    'deit': DeiTImageProcessorPil(size=dict(height=32, width=32), crop_size=dict(height=28, width=28), resample=3, do_center_crop=True, **imagenet),
    'resnet': ConvNextImageProcessorPil(size=dict(shortest_edge=28), crop_pct=0.875, resample=3, **imagenet),
}
cases = []
picture = Image.open(os.path.join(OUT, 'picture.png'))
for name, processor in processors.items():
    values = processor(picture, return_tensors='np')['pixel_values'][0]
    config = {key: value for key, value in processor.to_dict().items() if key != 'image_processor_type'}
    cases.append(dict(name=name, config=config, shape=list(values.shape), pixel_values=[round(float(v), 3) for v in values.reshape(-1)]))
meta = dict(transformers=transformers.__version__, pillow=PIL.__version__)
with open(os.path.join(OUT, 'golden.json'), 'w') as file:
    json.dump(dict(meta=meta, cases=cases), file, separators=(',', ':'), default=str)
