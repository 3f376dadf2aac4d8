/** The preview of an objective's data: samples one by one as a run reads them, and all of them as a run loads them. */
import path from 'node:path';
import type { SampleToShow } from '../data/shown/shown-sample.ts';
import type { LoadedData } from '../data/shown/statistics.ts';
import type { DataPart } from '../protocol/view/data.ts';
import type { ReadParams } from './task-setup.ts';

export type OnFormat = (format: string, reason: string) => void;

export interface DataPreview {
  /** @throws DataError if no sample of the part can be read */
  readonly samples: (part: DataPart, onFormat: OnFormat) => AsyncGenerator<SampleToShow>;
  /** @throws the errors of a run that reads this data */
  readonly load: () => Promise<LoadedData>;
}

/** @throws RunError 'wrong-task' */
export type PreviewData = (params: ReadParams) => Promise<DataPreview>;

/** The files of a part, and the number of samples to draw from them. */
export function partOf({ recipe: { data }, context }: ReadParams, part: DataPart) {
  const [files, maxSamples] = part === 'train' ? [data.train, data.max_samples] : [data.eval, data.eval_max_samples];
  return { paths: files.map(file => path.resolve(context.baseDir, file)), maxSamples };
}
