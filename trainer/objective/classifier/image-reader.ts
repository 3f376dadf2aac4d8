/** Reads images for a classifier. */

import path from 'node:path';
import { planBatches } from '../../data/batch/batch-plan.ts';
import { DataError } from '../../data/data-error.ts';
import { checkImages, MAX_GLANCES } from '../../data/image/check-images.ts';
import { imageSource, type LabeledImage } from '../../data/image/image-batches.ts';
import { type ImageSample, listImages } from '../../data/image/image-samples.ts';
import { placesOf } from '../../data/label-places.ts';
import { type ImagePreprocessing, imagePreprocessing } from '../../format/image/image-preprocessing.ts';
import { type ClassifierModel, inputOf, takesSize } from '../../model/model-spec.ts';
import { atLeast, valueFor } from '../../narrow.ts';
import { RunError } from '../../run-error.ts';
import type { ReadParams } from '../task-setup.ts';
import { classEvaluator } from './class-evaluator.ts';
import { type ClassifierReader, countPlaces, placeLabel } from './classifier-reader.ts';

export type ImageInput = Extract<ClassifierModel['input'], { kind: 'image' }>;

/** Maximum number of undecodable images that are reported individually. */
const NAMED = 20;

/** How images are converted to the model's input. */
export interface ImageForm {
  /** Present if the recipe sets a size. */
  readonly imageSize: readonly [number, number] | undefined;
  readonly preprocessing: ImagePreprocessing;
}

/** @throws RunError 'unsupported' if the model supports only another size */
export async function imageForm({ recipe, base }: ReadParams, input: ImageInput): Promise<ImageForm> {
  const { image_size: size } = recipe.data;
  if (size !== undefined && !takesSize(input, size))
    throw new RunError(
      'unsupported',
      `data.image_size is ${size}, but the model takes images of ${input.height} × ${input.width} alone`,
      'Take image_size out: images are resized to what the model takes',
    );
  const imageSize = size === undefined ? undefined : ([size, size] as const);
  const [height, width] = imageSize ?? [input.height, input.width];
  return { imageSize, preprocessing: await imagePreprocessing({ dir: base.folder.dir, config: base.folder.config, height, width }) };
}

export function imageReader({ recipe, job, context }: ReadParams, { imageSize, preprocessing }: ImageForm): ClassifierReader<LabeledImage> {
  const { augment, bad_images: bad, columns } = recipe.data;
  job.log('info', `images: ${describePreprocessing(preprocessing)}`);
  const skipped = new Set<string>();
  // A bad image recurs in every epoch and evaluation but is reported once.
  const onSkip = (error: DataError): void => {
    const image = imageOf(error);
    if (skipped.has(image)) return;
    const count = skipped.add(image).size;
    if (count <= NAMED) job.log('warning', `left out, ${count} so far: ${image}: ${error.problem}`);
    else if (Number.isInteger(Math.log2(count / NAMED))) job.log('warning', `${count} images that do not decode are left out so far`);
  };
  /** @returns checksums of the contents */
  const checkAll = async (all: readonly ImageSample[]): Promise<ReadonlyMap<ImageSample, number>> => {
    const encoded = all.filter(({ glance }) => glance);
    if (encoded.length === 0) return new Map();
    job.phase('data', `looking at the headers of ${encoded.length} images`);
    const show = job.progress('data', Math.min(encoded.length, MAX_GLANCES), 'images');
    const {
      bad: found,
      checked,
      contents,
    } = await checkImages(encoded, done => {
      job.checkStop();
      show(done);
    });
    if (checked < encoded.length) job.log('info', `${checked} of them were looked at; the others are when they are met`);
    if (found.length === 0) return contents;
    if (bad === 'fail') throw allOf(found);
    if (found.length === all.length) throw allOf(found, 'Check data: train and eval: not one image decodes');
    for (const error of found) onSkip(error);
    job.log('warning', `${found.length} of ${checked} images do not decode and are left out`);
    return contents;
  };
  return {
    imageSize,
    place: placeLabel,
    countLabels: (examples, labels) =>
      countPlaces(
        examples.map(({ target }) => target),
        labels,
      ),
    evaluator: (examples, model, source) => classEvaluator({ model, source, targets: examples.map(({ target }) => target) }),
    async read({ files, labels: given, maxSamples }) {
      job.phase('data', `listing the images of ${files.join(', ')}`);
      const { samples, labels, count } = await listImages({
        paths: files.map(file => path.resolve(context.baseDir, file)),
        columns,
        labels: given,
        maxSamples,
        seed: recipe.seed,
      });
      const places = placesOf(labels);
      const stranger = samples.find(({ label }) => !places.has(label));
      if (stranger) throw unknownLabel(stranger, labels);
      const contents = await checkAll(samples);
      job.log(
        'info',
        `${samples.length < count ? `${samples.length} of ${count} images, drawn at random,` : `${count} images`} of ${labels.length} ${labels.length === 1 ? 'class' : 'classes'}`,
      );
      const examples = samples.map(sample => ({
        ...sample,
        content: sample.content ?? contents.get(sample),
        target: valueFor(places, sample.label),
      }));
      return { examples, labels };
    },
    source(examples, model, { batchSize, order, trains, classWeights }) {
      const shape = { maxLength: 1, packing: false, maxBuckets: 1, multipleOf: 1, maxTargetSizes: 1, targetMultiple: 1 };
      const sizes = examples.map(() => ({ length: 1, targets: 1 }));
      return imageSource({
        plan: planBatches(sizes, { ...shape, batchSize, ...order }),
        examples,
        preprocessing,
        channels: inputOf(model, 'image').channels,
        augment: trains ? augment : [],
        seed: recipe.seed,
        classWeights,
        onSkip: bad === 'skip' ? onSkip : undefined,
      });
    },
  };
}

/** Maximum number of images listed in a message. */
const LISTED = 10;

/** Combines errors into one; the first of them gives the reason. */
function allOf(errors: readonly DataError[], instead?: string): DataError {
  const [{ place, problem, advice }, ...others] = atLeast(errors, 1);
  const named = others
    .slice(0, LISTED - 1)
    .map(imageOf)
    .join(', ');
  const rest = others.length === 0 ? '' : `; nor ${others.length === 1 ? 'does' : 'do'} ${others.length} more: ${named}`;
  return new DataError({ ...place, problem: `${problem}${rest}${others.length < LISTED ? '' : ' …'}`, advice: instead ?? advice });
}

const imageOf = ({ place: { file, line } }: DataError): string => (line === undefined ? `${file}` : `${file}:${line}`);

function unknownLabel({ label, file, line }: ImageSample, labels: readonly string[]): DataError {
  const more = labels.length > LISTED ? ` … (${labels.length} total)` : '';
  return new DataError({
    file,
    line,
    problem: `the label "${label}", expected one of ${labels.slice(0, LISTED).join(', ')}${more}`,
    advice: 'Add it to data: labels, or take its images out',
  });
}

function describePreprocessing({ resize, height, width, mean, std, source }: ImagePreprocessing): string {
  const sides = resize.kind === 'exact' ? `${resize.height} × ${resize.width}` : `shorter side ${resize.edge}`;
  return `resized to ${sides}, seen ${height} × ${width}, mean ${mean.join(' ')}, deviation ${std.join(' ')} (${source})`;
}
