/** The pixels that an encoder of images reads: decoded, resized as Pillow does, cut and scaled. */
import type { Sharp } from 'sharp';
import { DataError } from '../data-error.ts';
import { imageLibrary } from '../image/image-library.ts';
import { type Kernel, resample, type Sides } from '../image/image-resample.ts';
import { DECODE, reasonOf } from '../image/load-image.ts';
import type { SampleImage } from './sample-image.ts';

export interface View {
  /** The sizes to which the image is resized, one after the other; pixels are rounded to bytes after each. */
  readonly resizes: readonly Sides[];
  /** The part of the resized image; if left out, all of it. */
  readonly part?: Sides & { readonly left: number; readonly top: number };
}

export interface Scale {
  readonly kernel: Kernel;
  readonly rescale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** [height, width, 3] */
export interface Pixels extends Sides {
  readonly values: Float32Array;
}

interface Bytes extends Sides {
  readonly data: Uint8Array;
}

const CHANNELS = 3;

/** The pixels of each view of an image. Views that begin with the same sizes share them. @throws DataError for an image that does not decode */
export async function* viewsOf({ path }: Pick<SampleImage, 'path'>, views: readonly View[], scale: Scale): AsyncGenerator<Pixels> {
  const whole = await decoded(path);
  const known = new Map<string, Bytes>();
  for (const { resizes, part } of views) {
    let name = '';
    let bytes = whole;
    for (const size of resizes) {
      name += ` ${size.width}x${size.height}`;
      const next = known.get(name) ?? (await resized(bytes, size, scale.kernel));
      known.set(name, next);
      bytes = next;
    }
    yield scaled(bytes, part ?? { left: 0, top: 0, width: bytes.width, height: bytes.height }, scale);
  }
}

/** As Pillow's `convert('RGB')` after its `exif_transpose`: transparency is dropped. */
async function decoded(file: string): Promise<Bytes> {
  const sharp = await imageLibrary();
  try {
    const { data, info } = await rgb(sharp(file, DECODE).rotate()).toBuffer({ resolveWithObject: true });
    return { data, width: info.width, height: info.height };
  } catch (error) {
    throw new DataError({ file, problem: `the image does not decode: ${reasonOf(error)}`, advice: 'Replace it, or remove its sample' });
  }
}

const rgb = (image: Sharp): Sharp => image.removeAlpha().toColourspace('srgb').raw();

async function resized({ data, width, height }: Bytes, to: Sides, kernel: Kernel): Promise<Bytes> {
  if (width === to.width && height === to.height) return { data, width, height };
  return { data: resample({ data, from: { width, height }, to, channels: CHANNELS, kernel }), ...to };
}

function scaled({ data, width }: Bytes, part: NonNullable<View['part']>, { rescale, mean, std }: Scale): Pixels {
  const values = new Float32Array(part.width * part.height * CHANNELS);
  let at = 0;
  for (let y = part.top; y < part.top + part.height; y++)
    for (let x = part.left; x < part.left + part.width; x++)
      for (let channel = 0; channel < CHANNELS; channel++)
        values[at++] = ((data[(y * width + x) * CHANNELS + channel] as number) * rescale - (mean[channel] ?? 0)) / (std[channel] ?? 1);
  return { values, width: part.width, height: part.height };
}
