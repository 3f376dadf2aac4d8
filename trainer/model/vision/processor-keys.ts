/** The keys of preprocessor_config.json that the processors of several families share: see `config-keys.ts`. */

import { z } from 'zod';
import { type ConfigValues, computed, type KeyTable, refused, refusedUnless, withoutEffect } from '../config-keys.ts';
import type { PixelScale } from './vision-encoder.ts';

export const PROCESSOR_FILE = 'preprocessor_config.json';

/** Kernels by the numbers of Pillow's filters. */
const kernels = { 1: 'lanczos3', 2: 'linear', 3: 'cubic' } as const;

/** One number for each channel of color. */
const channels = z.tuple([z.number(), z.number(), z.number()]).readonly();
type Channels = z.infer<typeof channels>;

interface ProcessorDefaults {
  readonly mean: Channels;
  readonly std: Channels;
  readonly resample: keyof typeof kernels;
}

/** Means and deviations of CLIP, which several processors have by default. */
export const CLIP = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] } as const;

/** @param usual the family's defaults */
export const processorKeys = (usual: ProcessorDefaults) =>
  ({
    rescale_factor: computed(
      z
        .number()
        .positive()
        .default(1 / 255),
    ),
    resample: computed(z.literal([1, 2, 3]).default(usual.resample)),
    image_mean: computed(channels.default(usual.mean)),
    image_std: computed(channels.default(usual.std)),
    ...refusedUnless([true], 'do_resize', 'do_rescale', 'do_normalize', 'do_convert_rgb'),
    ...refusedUnless([false], 'do_center_crop', 'do_pad'),
    ...refused('crop_size', 'pad_size'),
    ...withoutEffect('is of processors that crop, or whose images all have the same size', 'default_to_square', 'image_seq_length'),
    ...withoutEffect('names the class of the whole processor', 'processor_class', 'auto_map'),
    ...withoutEffect('is an older name of image_processor_type', 'feature_extractor_type'),
    ...withoutEffect(
      'says how numbers are given to the code of Transformers',
      ...(['data_format', 'input_data_format', 'device', 'return_tensors', 'disable_grouping'] as const),
    ),
  }) as const satisfies KeyTable;

/** How pixels become numbers, by the values of `processorKeys`. */
export const pixelScale = (c: ConfigValues<ReturnType<typeof processorKeys>>): PixelScale => ({
  kernel: kernels[c.resample],
  rescale: c.rescale_factor,
  mean: c.image_mean,
  std: c.image_std,
});
