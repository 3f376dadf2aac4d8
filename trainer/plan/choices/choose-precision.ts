/** Chooses the compute type of a run: the recipe's, or the one that a measurement of the device recommends. */
import { engineCatalog } from '../../catalog/engines.ts';
import type { Engine } from '../../engine/engine.ts';
import { measureMatmul } from '../../engine/measure-matmul.ts';
import type { Job } from '../../job/job.ts';
import type { RecipeScope } from '../../job/job-scope.ts';
import type { Model } from '../../model/model-spec.ts';
import type { ComputeType, Precision } from '../../model/weight-storage.ts';
import type { Checkpoint } from '../../run/checkpoint/load-checkpoint.ts';
import { precisionOf } from '../../train/recipe-settings.ts';

/** Minimum speedup of products in bfloat16: casts between the products cancel part of it. */
const WORTHWHILE = 1.2;

export interface ChoosePrecisionParams extends Pick<RecipeScope, 'recipe' | 'job'> {
  readonly model: Model;
  /** The checkpoint of a resumed run, which keeps its compute type. */
  readonly checkpoint?: { readonly state: Pick<Checkpoint['state'], 'dtype'> };
}

/** Chooses the precision, and logs the choice and any part of it that has no benefit on this engine. */
export async function choosePrecision({ recipe, job, model, checkpoint }: ChoosePrecisionParams, engine: Engine): Promise<Precision> {
  const wanted = recipe.dtype === 'auto' ? checkpoint?.state.dtype : recipe.dtype;
  const dtype = wanted ?? (await fasterType(engine, job));
  const { name, narrowConvolutions } = engine.description;
  warnIfHeldWide(job, engine, { dtype, quantize: recipe.quantize });
  const convolves = model.modules.some(({ kind }) => kind === 'conv');
  if (engineCatalog[name].holdsFewerBits && dtype === 'bfloat16' && convolves && !narrowConvolutions)
    job.log('info', 'dtype: bfloat16; convolutions are computed in float32, since this processor has no AVX512-BF16 instructions');
  return { ...precisionOf(recipe), dtype };
}

/** Logs that an engine holds values of fewer bits in 32. */
export function warnIfHeldWide(job: Job, { description: { name } }: Pick<Engine, 'description'>, { dtype, quantize }: Precision): void {
  if (!engineCatalog[name].holdsFewerBits && (dtype === 'bfloat16' || quantize !== 'none'))
    job.log('warning', 'the portable engine stores bfloat16 and 8-bit values in 32 bits: the results are the same, but no memory is saved');
}

async function fasterType(engine: Engine, job: Job): Promise<ComputeType> {
  if (!engineCatalog[engine.description.name].holdsFewerBits) {
    job.log('info', 'dtype: float32; the portable engine has no bfloat16');
    return 'float32';
  }
  const [single, half] = [await measureMatmul(engine), await measureMatmul(engine, 'bfloat16')];
  const dtype = half >= WORTHWHILE * single ? 'bfloat16' : 'float32';
  job.log('info', `dtype: ${dtype}; products run at ${Math.round(half)} GFLOP/s in bfloat16 and ${Math.round(single)} in float32`);
  return dtype;
}
