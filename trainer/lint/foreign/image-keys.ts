/** Keys about images in recipes of language models. The encoder and its projector are frozen here, and images keep their shape. */
import { type Convert, none, set } from './foreign-tool.ts';

const frozen = 'the encoder of images is always frozen here';
const notTrained = `not kept: ${frozen}, so its weights are not trained`;

/** Converts a switch that freezes a part of the encoder. */
export const freezesEncoder: Convert = value => none(value === false ? notTrained : frozen);

/** Converts a switch that trains the encoder. */
export const trainsEncoder: Convert = value => none(value === true ? notTrained : frozen);

/** Converts a switch that freezes everything else, which leaves nothing to train here. */
export const freezesText: Convert = value =>
  none(value === true ? 'not kept: the language model is what is trained here' : 'the language model is trained');

/** Converts the size of a square, or width and height, to a number of pixels. */
export const imageSize: Convert = value => {
  const sides = (Array.isArray(value) ? value : [value, value]).map(Number);
  const [width = Number.NaN, height = Number.NaN] = sides;
  if (sides.length !== 2 || !(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0))
    return none('expected a number, or a width and a height');
  return set('data.image_max_pixels', width * height, `it resized images to ${width} × ${height}; here they keep their shape`);
};

/** Keys of LLaMA-Factory; `image_max_pixels` is in the table of renamed keys. */
export const llamaFactoryImages: Readonly<Record<string, Convert>> = {
  freeze_vision_tower: freezesEncoder,
  freeze_multi_modal_projector: freezesEncoder,
  train_mm_proj_only: trainsEncoder,
  freeze_language_model: freezesText,
  image_min_pixels: () => none('small images keep the size that the processor of the model gives them'),
  image_do_pan_and_scan: value => none(value === true ? 'not kept: an image is read once, as a whole' : 'off'),
  crop_to_patches: value => none(value === true ? 'not kept: the processor of the model decides how an image is split' : 'off'),
  media_dir: () => none('paths of images start at the folder of the data file'),
};
