/** Logs which weights are in host memory while a program runs. */
import type { EngineDescription } from '../engine/engine.ts';
import type { Program } from '../graph/program.ts';
import { hostedBytes } from '../model/hosted-weights.ts';
import type { Model } from '../model/model-spec.ts';
import { FLOAT32_STORAGE, type WeightStorage } from '../model/weight-storage.ts';
import { byteSize } from '../protocol/text/format.ts';
import type { Job } from './job.ts';

/** Logs nothing if all weights are on the device. @param attachment the storage is float32 if left out */
export function logHosted(
  job: Job,
  { device }: Pick<EngineDescription, 'device'>,
  model: Pick<Model, 'modules'>,
  { storage = FLOAT32_STORAGE, hosted }: { readonly storage?: WeightStorage | undefined; readonly hosted?: Program['places'] },
): void {
  const bytes = hostedBytes(model, storage, hosted);
  if (bytes === 0) return;
  const size = `${byteSize(bytes)} of weights are in host memory`;
  job.log(
    'info',
    device === 'cpu'
      ? `base_offload: host saves no memory without a GPU: ${size} in any case`
      : `${size}, from which each moves to the GPU for its uses`,
  );
}
