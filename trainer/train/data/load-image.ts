/** Decodes an image and brings it into the form that a model sees, with random changes where it is trained on. */
import type { Sharp } from 'sharp';
import type { ImagePreprocessing } from '../../hub/image-preprocessing.ts';
import type { Random } from '../../random.ts';
import { DataError } from './data-error.ts';
import type { ImageSample } from './image-samples.ts';

/** flip: left and right at random; crop: a random part of 80 to 100% of the area. */
export type Augmentation = 'flip' | 'crop';

export interface LoadImageParams {
  readonly sample: ImageSample;
  readonly preprocessing: ImagePreprocessing;
  readonly channels: number;
  readonly augment: readonly Augmentation[];
  /** For the augmentation. */
  readonly random: Random;
  /** [height, width, channels], filled. */
  readonly into: Float32Array;
}

type LoadSharp = typeof import('sharp').default;

let loading: Promise<LoadSharp> | undefined;

/** @throws DataError where the library is not installed for this system */
function sharpLibrary(): Promise<LoadSharp> {
  loading ??= import('sharp').then(
    module => module.default,
    (error: Error) => {
      throw new DataError({
        problem: `the package sharp, which decodes images, can not be loaded (${error.message.split('\n')[0]})`,
        advice: 'Install it beside Rowtune: npm install sharp',
      });
    },
  );
  return loading;
}

/** The smallest part of the area that a random crop keeps. */
const LEAST_AREA = 0.8;

/** @throws DataError that names the file where it does not decode */
export async function loadImage(params: LoadImageParams): Promise<void> {
  const sharp = await sharpLibrary();
  const { sample, channels, into } = params;
  try {
    const source = await sample.read();
    const image =
      source.kind === 'encoded'
        ? sharp(source.bytes, { failOn: 'error' })
        : sharp(source.bytes, { raw: { width: source.width, height: source.height, channels: source.channels as 1 | 3 } });
    const metadata = source.kind === 'encoded' ? await image.metadata() : source;
    const shaped = shape(image, { width: metadata.width, height: metadata.height }, params);
    const { data, info } = await shaped
      .flatten()
      .toColourspace(channels === 1 ? 'b-w' : 'srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    normalise(data, { found: info.channels, channels, into, preprocessing: params.preprocessing });
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError({
      file: sample.file,
      line: sample.line,
      problem: `the image does not decode: ${(error as Error).message}`,
      advice: 'Remove or replace it, or set data: bad_images: skip',
    });
  }
}

interface Sides {
  readonly width: number;
  readonly height: number;
}

function shape(image: Sharp, from: Sides, { preprocessing, augment, random }: LoadImageParams): Sharp {
  const { height, width, kernel } = preprocessing;
  const cropped = augment.includes('crop')
    ? image.extract(randomPart(from, random)).resize(width, height, { fit: 'fill', kernel })
    : middle(image, from, preprocessing);
  return augment.includes('flip') && random.uniform() < 0.5 ? cropped.flop() : cropped;
}

function randomPart(from: Sides, random: Random): Sides & { left: number; top: number } {
  const share = Math.sqrt(LEAST_AREA + (1 - LEAST_AREA) * random.uniform());
  const part = { width: Math.max(1, Math.round(share * from.width)), height: Math.max(1, Math.round(share * from.height)) };
  return { ...part, left: random.below(from.width - part.width + 1), top: random.below(from.height - part.height + 1) };
}

function middle(image: Sharp, from: Sides, { resize, height, width, kernel }: ImagePreprocessing): Sharp {
  const scale = resize.kind === 'shortest' ? resize.edge / Math.min(from.width, from.height) : 0;
  const to =
    resize.kind === 'exact'
      ? { width: resize.width, height: resize.height }
      : { width: Math.max(width, Math.round(scale * from.width)), height: Math.max(height, Math.round(scale * from.height)) };
  const resized = to.width === from.width && to.height === from.height ? image : image.resize(to.width, to.height, { fit: 'fill', kernel });
  if (to.width === width && to.height === height) return resized;
  return resized.extract({ left: Math.floor((to.width - width) / 2), top: Math.floor((to.height - height) / 2), width, height });
}

interface Normalise {
  /** Channels of the decoded image. */
  readonly found: number;
  readonly channels: number;
  readonly into: Float32Array;
  readonly preprocessing: ImagePreprocessing;
}

function normalise(data: Uint8Array, { found, channels, into, preprocessing: { rescale, mean, std } }: Normalise): void {
  for (let channel = 0; channel < channels; channel++) {
    const shift = mean[Math.min(channel, mean.length - 1)] ?? 0;
    const spread = std[Math.min(channel, std.length - 1)] ?? 1;
    const from = Math.min(channel, found - 1);
    for (let pixel = 0; pixel * channels < into.length; pixel++)
      into[pixel * channels + channel] = ((data[pixel * found + from] as number) * rescale - shift) / spread;
  }
}
