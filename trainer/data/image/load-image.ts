/** Decodes an image and preprocesses it for a model, with random augmentation in training. */
import type { Sharp } from 'sharp';
import type { ImagePreprocessing } from '../../format/image/image-preprocessing.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import type { Random } from '../../random.ts';
import { DataError } from '../data-error.ts';
import { imageLibrary } from './image-library.ts';
import { type Kernel, resample, type Sides } from './image-resample.ts';
import type { ImageSample } from './image-samples.ts';

/** flip: mirrors left and right at random; crop: cuts a random part of 80 to 100% of the area. */
export type Augmentation = 'flip' | 'crop';

export interface LoadImageParams {
  readonly sample: ImageSample;
  readonly preprocessing: ImagePreprocessing;
  readonly channels: number;
  readonly augment: readonly Augmentation[];
  /** Random numbers for the augmentation. */
  readonly random: Random;
  /** [height, width, channels] the array to fill. */
  readonly into: Float32Array;
}

/** The size above which Pillow, and so Transformers, refuses to decode: half a gigabyte as bytes of three channels. */
const MAX_PIXELS = 178_956_970;

/** Options for every image that is decoded: damage and excessive size are errors. */
export const DECODE = { failOn: 'error', limitInputPixels: MAX_PIXELS } as const;

/** The smallest share of the area that a random crop keeps. */
const MIN_AREA = 0.8;

/** @throws DataError that names the file if it does not decode */
export async function loadImage(params: LoadImageParams): Promise<void> {
  const sharp = await imageLibrary();
  const { sample, channels, into } = params;
  try {
    const source = await sample.read();
    const image =
      source.kind === 'encoded'
        ? sharp(source.bytes, DECODE)
        : sharp(source.bytes, { raw: { width: source.width, height: source.height, channels: source.channels } });
    const { width, height } = source.kind === 'encoded' ? await image.metadata() : source;
    checkPixels({ width, height }, 'has');
    const view = viewOf({ width, height }, params);
    checkPixels(view.to, 'is enlarged to');
    const { data, info } = await reduced(view.part ? image.extract(view.part) : image, view)
      .flatten()
      .toColourspace(channels === 1 ? 'b-w' : 'srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    const pixels = enlarges(view) ? resample({ ...view, data, channels: info.channels }) : data;
    normalize(pixels, { found: info.channels, view, channels, into, preprocessing: params.preprocessing });
  } catch (error) {
    throw undecodable(sample, error);
  }
}

/** Refuses excessive sizes: an image of one row becomes extremely long when its shorter side is scaled to the model's size. */
export function checkPixels({ width, height }: Sides, verb: string): void {
  if (width * height > MAX_PIXELS) throw new Error(`it ${verb} ${width} × ${height} pixels; at most ${MAX_PIXELS} are decoded`);
}

/** The error for an unreadable image, whatever the library or the file system reported. */
export function undecodable({ file, line }: ImageSample, error: unknown): DataError {
  if (error instanceof DataError) return error;
  return new DataError({
    file,
    line,
    problem: `the image does not decode: ${reasonOf(error)}`,
    advice: 'Remove or replace it, or set data: bad_images: skip',
  });
}

/** The reason in one line: the library may split a message into several, repeat some, and end where a reason would follow. */
export function reasonOf(error: unknown): string {
  const lines = messageOf(error)
    .split('\n')
    .map(text => text.trim());
  return [...new Set(lines)].join(' ').replace(/[\s:.]+$/, '');
}

/** The transformation of an image: crop, resize, window, mirror. */
interface View {
  /** The crop; if left out, the whole image. */
  readonly part?: Sides & { readonly left: number; readonly top: number };
  /** The size of the crop. */
  readonly from: Sides;
  readonly to: Sides;
  readonly kernel: Kernel;
  /** The left edge of the model's window. */
  readonly left: number;
  readonly top: number;
  readonly flop: boolean;
}

function viewOf(whole: Sides, { preprocessing, augment, random }: LoadImageParams): View {
  const { height, width, kernel } = preprocessing;
  const part = augment.includes('crop') ? randomPart(whole, random) : undefined;
  const to = part ? { width, height } : sidesOf(whole, preprocessing);
  return {
    part,
    from: part ?? whole,
    to,
    kernel,
    left: Math.floor((to.width - width) / 2),
    top: Math.floor((to.height - height) / 2),
    flop: augment.includes('flip') && random.uniform() < 0.5,
  };
}

function randomPart(from: Sides, random: Random): NonNullable<View['part']> {
  const share = Math.sqrt(MIN_AREA + (1 - MIN_AREA) * random.uniform());
  const part = { width: Math.max(1, Math.round(share * from.width)), height: Math.max(1, Math.round(share * from.height)) };
  return { ...part, left: random.below(from.width - part.width + 1), top: random.below(from.height - part.height + 1) };
}

/** The longer side is truncated to whole pixels if the shortest edge is given, as in torchvision and Transformers. */
function sidesOf(from: Sides, { resize, height, width }: ImagePreprocessing): Sides {
  if (resize.kind === 'exact') return { width: resize.width, height: resize.height };
  const short = Math.min(from.width, from.height);
  const side = (length: number): number => (length === short ? resize.edge : Math.floor((resize.edge * length) / short));
  return { width: Math.max(width, side(from.width)), height: Math.max(height, side(from.height)) };
}

const enlarges = ({ from, to }: View): boolean => to.width > from.width || to.height > from.height;

function reduced(image: Sharp, view: View): Sharp {
  const { from, to, kernel } = view;
  const isSame = to.width === from.width && to.height === from.height;
  return isSame || enlarges(view) ? image : image.resize(to.width, to.height, { fit: 'fill', kernel });
}

interface Normalize {
  /** Channels of the decoded image. */
  readonly found: number;
  readonly view: View;
  readonly channels: number;
  readonly into: Float32Array;
  readonly preprocessing: ImagePreprocessing;
}

function normalize(data: Uint8Array, { found, view, channels, into, preprocessing }: Normalize): void {
  const { rescale, mean, std, width, height } = preprocessing;
  const { to, left, top, flop } = view;
  for (let channel = 0; channel < channels; channel++) {
    const shift = mean[Math.min(channel, mean.length - 1)] ?? 0;
    const spread = std[Math.min(channel, std.length - 1)] ?? 1;
    const plane = Math.min(channel, found - 1);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const from = (top + y) * to.width + left + (flop ? width - 1 - x : x);
        into[(y * width + x) * channels + channel] = ((data[from * found + plane] as number) * rescale - shift) / spread;
      }
  }
}
