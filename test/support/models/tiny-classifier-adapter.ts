/** Adapters of classifiers for any method, with random values near the base's. */
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { modelOfAdapter } from '../../../trainer/adapter/adapter.ts';
import { describeAdapter, writeAdapter } from '../../../trainer/adapter/write-adapter.ts';
import type { MethodName } from '../../../trainer/catalog/methods.ts';
import { elementCount } from '../../../trainer/graph/types.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { type MethodSettings, withBatchNorm } from '../../../trainer/method/method.ts';
import { methods } from '../../../trainer/method/methods.ts';
import type { Problem } from '../../../trainer/model/model-spec.ts';
import type { BatchNormMode } from '../../../trainer/model/tracer.ts';
import { isRecord } from '../../../trainer/narrow.ts';
import type { Pooling } from '../../../trainer/protocol/pooling.ts';
import { readRecord } from '../files/read-json.ts';
import { temporaryFolder } from '../machine/temporary-folder.ts';
import { randomNumbers } from '../numbers/operation-case.ts';
import { scattered, settingsOf } from './method-settings.ts';

export const goldenFolder = (family: string): string => join(import.meta.dirname, '..', '..', 'golden', family);

/** Copies a golden folder; timm models take smaller images in it, to keep the interpreter fast. */
export async function copyOfGolden(family: string): Promise<string> {
  const base = join(await temporaryFolder(), family);
  await cp(goldenFolder(family), base, { recursive: true });
  const file = join(base, 'config.json');
  const config = readRecord(file);
  const { pretrained_cfg: own } = config;
  if (isRecord(own)) await writeFile(file, JSON.stringify({ ...config, pretrained_cfg: { ...own, input_size: [3, 32, 32] } }));
  return base;
}

/** Labels of a head for data that differ from the base's. */
export const NEW_LABELS = ['cat', 'dog', 'fox', 'hen', 'owl'];

/** Tensors whose values must be positive: magnitudes and variances. */
const POSITIVE = /magnitude|running_var/;

export interface TinyClassifierParams {
  readonly base: string;
  readonly method: MethodName;
  /** Labels of the new head; `NEW_LABELS` by default. */
  readonly labels?: readonly string[];
  /** The problem that the new head solves; single-label classification by default. */
  readonly problem?: Problem;
  /** Set for embedders. */
  readonly pooling?: Pooling;
  /** Size of images, for a model that takes any size. */
  readonly imageSize?: readonly [number, number];
  /** True to keep the base's head. */
  readonly ownHead?: boolean;
  readonly settings?: Partial<MethodSettings>;
  /** With updated batch norms, the adapter contains their running statistics. */
  readonly batchNorm?: BatchNormMode;
}

/** @returns the adapter's folder */
export async function tinyClassifierAdapter({
  base,
  method,
  labels = NEW_LABELS,
  problem = 'single_label',
  pooling,
  imageSize,
  ownHead,
  settings: changes,
  batchNorm = 'frozen',
}: TinyClassifierParams): Promise<string> {
  const folder = await openModel(base);
  const described = ownHead ? {} : pooling ? { problem, pooling } : { problem, labels, ...(imageSize && { imageSize }) };
  const model = modelOfAdapter(folder.config, described);
  const settings = settingsOf({ budget: { r: 2 }, rank: 2, modulesToSave: ['head'], ...changes });
  const attachment = withBatchNorm(methods[method].attach(model, settings, scattered(model, method, settings)), model, batchNorm);
  const description = {
    ...describeAdapter(attachment, { source: base, revision: '', fingerprint: await folder.weights.fingerprint() }),
    ...described,
  };
  const tensors = [...attachment.trainables, ...(attachment.buffers ?? [])].map(({ name, shape }, i) => ({
    name,
    shape,
    data: () => {
      const [low, high]: [number, number] = POSITIVE.test(name) ? [0.5, 1] : [-0.2, 0.2];
      return Float32Array.from(randomNumbers(elementCount(shape), low, high, i + 1));
    },
  }));
  await folder.weights.close();
  const dir = join(await temporaryFolder(), 'adapter');
  await writeAdapter(dir, { description, tensors });
  return dir;
}
