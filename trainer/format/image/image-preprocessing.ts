/**
 * The image input that a model expects, read from preprocessor_config.json as Transformers writes it, or from the keys that timm writes to
 * config.json.
 */
import path from 'node:path';
import { z } from 'zod';
import { readOptionalConfigFile } from '../model-config.ts';
import { ModelFileError } from '../model-file-error.ts';

export interface ImagePreprocessing {
  /** Resizing before the crop: to these sides, or until the shorter side has this length. */
  readonly resize:
    | { readonly kind: 'exact'; readonly height: number; readonly width: number }
    | { readonly kind: 'shortest'; readonly edge: number };
  /** The size of the model's input, cropped from the center if it is smaller than the resized image. */
  readonly height: number;
  readonly width: number;
  readonly kernel: 'nearest' | 'linear' | 'cubic' | 'lanczos3';
  /** Factor that pixel bytes are multiplied by. */
  readonly rescale: number;
  /** For each channel, the mean that is subtracted after rescaling, and the deviation that divides the result. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** The file that states it, for the log. */
  readonly source: string;
}

export interface PreprocessingParams {
  readonly dir: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Size of the model's input. */
  readonly height: number;
  readonly width: number;
}

/** Mean and standard deviation of ImageNet's channels, as torchvision states them. */
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** Limit for sides, which determine array sizes; no network in use takes more. */
const side = z.number().int().min(1).max(16_384);
const sizes = z.union([side, z.object({ height: side, width: side }), z.object({ shortest_edge: side })]);
const channels = z.array(z.number()).min(1).max(64);
const schema = z.looseObject({
  do_resize: z.boolean().default(true),
  size: sizes.optional(),
  resample: z.number().int().min(0).max(5).default(2),
  do_center_crop: z.boolean().optional(),
  crop_size: sizes.optional(),
  crop_pct: z.number().gt(0).max(1).nullish(),
  do_rescale: z.boolean().default(true),
  rescale_factor: z.number().default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: channels.default(IMAGENET.mean),
  image_std: channels.default(IMAGENET.std),
});

/** Kernels by PIL's filter numbers. */
const KERNELS = ['nearest', 'lanczos3', 'linear', 'cubic', 'linear', 'linear'] as const;
const PIL_FILTERS = { nearest: 0, lanczos3: 1, linear: 2, cubic: 3 } as const satisfies Record<ImagePreprocessing['kernel'], number>;

export const PREPROCESSOR_FILE = 'preprocessor_config.json';

/** Image size below which ConvNextImageProcessor, which ResNet uses, crops. */
const LARGEST_CROPPED = 384;

/** @throws ModelFileError if preprocessor_config.json is unusable */
export async function imagePreprocessing({ dir, config, height, width }: PreprocessingParams): Promise<ImagePreprocessing> {
  const file = path.join(dir, PREPROCESSOR_FILE);
  const json = await readOptionalConfigFile(file);
  const final = { height, width };
  if (!json) return timmPreprocessing(config, final);
  const parsed = schema.safeParse(json);
  if (!parsed.success)
    throw new ModelFileError(file, `can't be used: ${z.prettifyError(parsed.error)}`, 'Take the file that came with the model.');
  const { data } = parsed;
  return {
    ...final,
    resize: resizeOf(data, final),
    kernel: KERNELS[data.resample] ?? 'linear',
    rescale: data.do_rescale ? data.rescale_factor : 1,
    mean: data.do_normalize ? data.image_mean : data.image_mean.map(() => 0),
    std: data.do_normalize ? data.image_std : data.image_std.map(() => 1),
    source: PREPROCESSOR_FILE,
  };
}

/**
 * The text of a preprocessor_config.json that makes Transformers process images as in training.
 * @returns undefined if the model's files already do
 * @throws ModelFileError as {@link imagePreprocessing}
 */
export async function preprocessorText(params: PreprocessingParams): Promise<string | undefined> {
  const seen = await imagePreprocessing(params);
  const { dir, config, height, width } = params;
  const json = await readOptionalConfigFile(path.join(dir, PREPROCESSOR_FILE));
  if (json === undefined && config.pretrained_cfg !== undefined) return undefined;
  const said = json && schema.parse(json);
  const [saidHeight, saidWidth] = said ? finalSides(said) : [];
  if (saidHeight === height && saidWidth === width) return undefined;
  const { resize, kernel, rescale, mean, std } = seen;
  const isCropped = resize.kind === 'shortest' || resize.height !== height || resize.width !== width;
  const { crop_pct: _, ...kept } = json ?? {};
  const written = {
    ...kept,
    // The processors of other models crop differently.
    image_processor_type: isCropped ? 'BitImageProcessor' : 'ViTImageProcessor',
    do_resize: true,
    size: resize.kind === 'shortest' ? { shortest_edge: resize.edge } : { height: resize.height, width: resize.width },
    resample: PIL_FILTERS[kernel],
    do_center_crop: isCropped,
    ...(isCropped && { crop_size: { height, width } }),
    do_rescale: rescale !== 1,
    rescale_factor: rescale,
    do_normalize: true,
    image_mean: mean,
    image_std: std,
  };
  return `${JSON.stringify(written, null, 2)}\n`;
}

/** Height and width of the final image according to such a file; undefined if it does not state them. */
function finalSides({ size, crop_size: crop, do_center_crop: crops }: z.infer<typeof schema>): readonly (number | undefined)[] {
  const cut = crops ? (crop ?? size) : size;
  const edge = edgeOf(cut);
  const sides = sidesOf(cut);
  return [sides?.height ?? edge, sides?.width ?? edge];
}

type Sides = z.infer<typeof sizes>;

function resizeOf(
  { size, crop_pct: share, do_center_crop: crops }: z.infer<typeof schema>,
  final: { readonly height: number; readonly width: number },
): ImagePreprocessing['resize'] {
  const edge = edgeOf(size);
  // In older files, a plain number is the cropped side.
  const cut = typeof size === 'number' ? size : edge;
  if (cut !== undefined && share && cut < LARGEST_CROPPED)
    return { kind: 'shortest', edge: Math.floor(Math.min(final.height, final.width) / share) };
  if (edge !== undefined && crops) return { kind: 'shortest', edge: Math.max(edge, final.height, final.width) };
  const sides = sidesOf(size) ?? final;
  const larger = crops && sides.height >= final.height && sides.width >= final.width;
  return { kind: 'exact', ...(larger ? { height: sides.height, width: sides.width } : final) };
}

function sidesOf(size: Sides | undefined): { readonly height: number; readonly width: number } | undefined {
  if (typeof size === 'number') return { height: size, width: size };
  return size !== undefined && !('shortest_edge' in size) ? size : undefined;
}

const edgeOf = (size: Sides | undefined): number | undefined =>
  typeof size === 'object' && 'shortest_edge' in size ? size.shortest_edge : undefined;

const timm = z.looseObject({
  mean: channels.default(IMAGENET.mean),
  std: channels.default(IMAGENET.std),
  crop_pct: z.number().gt(0).max(1).default(1),
  interpolation: z.string().default('bilinear'),
});

function timmPreprocessing(
  config: Readonly<Record<string, unknown>>,
  final: { readonly height: number; readonly width: number },
): ImagePreprocessing {
  const parsed = timm.safeParse(config.pretrained_cfg ?? {});
  const { mean, std, crop_pct: share, interpolation } = parsed.success ? parsed.data : timm.parse({});
  const isKnown = parsed.success && config.pretrained_cfg !== undefined;
  return {
    ...final,
    resize: share < 1 ? { kind: 'shortest', edge: Math.floor(Math.min(final.height, final.width) / share) } : { kind: 'exact', ...final },
    kernel: interpolation === 'bicubic' ? 'cubic' : 'linear',
    rescale: 1 / 255,
    mean,
    std,
    source: isKnown ? 'pretrained_cfg of config.json' : "ImageNet's mean and deviation, as the model says nothing",
  };
}
