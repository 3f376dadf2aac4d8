/** How a job that trains nothing holds the base: as the request says; what it leaves out is as in the run. */
import { untouched } from '../../adapter/apply-adapter.ts';
import { withAdapter } from '../../adapter/read-adapter.ts';
import { engineCatalog } from '../../catalog/engines.ts';
import type { Engine } from '../../engine/engine.ts';
import type { ModelFolder } from '../../hub/open-model.ts';
import type { Job } from '../../job/job.ts';
import { availableMemoryBytes } from '../../machine/machine.ts';
import { placeTuned } from '../../method/placement.ts';
import { hostedBytes, hostedUntrained } from '../../model/hosted-weights.ts';
import { loadModel } from '../../model/load-model.ts';
import { FLOAT32, FLOAT32_STORAGE, type Precision, weightBytes } from '../../model/weight-storage.ts';
import { warnIfHeldWide } from '../../plan/choices/choose-precision.ts';
import type { GenerateOptions } from '../../protocol/messages/job-messages.ts';
import { byteSize } from '../../protocol/text/format.ts';
import { precisionOf } from '../../train/recipe-settings.ts';
import { withChosenType } from '../chosen-type.ts';
import { runRecipes } from './run-recipes.ts';

export interface InferencePrecisionParams {
  readonly engine: Pick<Engine, 'description' | 'hostFrom'>;
  /** The folder of the base. */
  readonly folder: Pick<ModelFolder, 'config'>;
  /** Types that the request names. */
  readonly asked: Pick<GenerateOptions, 'dtype' | 'quantize'>;
  /** Folders that may be runs, or other adapters; the first run counts. */
  readonly runs: readonly (string | undefined)[];
  /** Bytes of the encoder of images, if images may be read; 0 otherwise. */
  readonly encoderBytes?: number | undefined;
}

/** The types of the base. A base without a run, and an exported adapter, are held in float32. Logs what follows from the choice. */
export async function inferencePrecision(
  job: Job,
  { engine, folder, asked, runs, encoderBytes = 0 }: InferencePrecisionParams,
): Promise<Precision> {
  const { dtype, quantize } = asked;
  const ofRun = dtype !== undefined && quantize !== undefined ? FLOAT32 : await precisionOfRun(runs);
  const found: Precision = { dtype: dtype ?? ofRun.dtype, quantize: quantize ?? ofRun.quantize };
  const kept = [
    ...(dtype === undefined && found.dtype !== FLOAT32.dtype ? [`dtype: ${found.dtype}`] : []),
    ...(quantize === undefined && found.quantize !== FLOAT32.quantize ? [`quantize: ${found.quantize}`] : []),
  ];
  if (kept.length > 0) job.log('info', `${kept.join(' and ')}, as in the run`);
  warnIfHeldWide(job, engine, found);
  warnIfTooLarge(job, { engine, folder, encoderBytes }, found);
  return found;
}

async function precisionOfRun(runs: readonly (string | undefined)[]): Promise<Precision> {
  for await (const { run, recipe } of runRecipes(runs)) {
    if (recipe.dtype !== 'auto') return precisionOf(recipe);
    // A run without a checkpoint has not chosen yet. A checkpoint that cannot be read is reported where it is applied.
    return precisionOf(await withAdapter(run, adapter => withChosenType(recipe, adapter)).catch(() => recipe));
  }
  return FLOAT32;
}

/** The types that take less memory, the most exact first. */
const SMALLER: readonly Precision[] = [
  { dtype: 'bfloat16', quantize: 'none' },
  { dtype: 'bfloat16', quantize: 'int8' },
  { dtype: 'bfloat16', quantize: 'nf4' },
];

/** Logs that the weights take more than the free memory, and in which types they take less. */
function warnIfTooLarge(
  job: Job,
  { engine, folder, encoderBytes }: Pick<Required<InferencePrecisionParams>, 'engine' | 'folder' | 'encoderBytes'>,
  precision: Precision,
): void {
  const {
    description: { name, gpu },
    hostFrom,
  } = engine;
  const model = loadModel(folder.config);
  const bytesIn = (types: Precision): number => {
    const { storage = FLOAT32_STORAGE } = engineCatalog[name].holdsFewerBits ? placeTuned(untouched, model, types, new Map()) : {};
    return encoderBytes + weightBytes(model, storage) - hostedBytes(model, storage, hostedUntrained(model, storage, hostFrom));
  };
  const free = gpu?.memoryBytes ?? availableMemoryBytes();
  const bytes = bytesIn(precision);
  if (bytes <= free) return;
  const less = SMALLER.map(types => ({ ...types, bytes: bytesIn(types) })).filter(types => types.bytes < bytes);
  const best = less.find(types => types.bytes <= free) ?? less.at(-1);
  const advice = best ? `; with --dtype ${best.dtype} --quantize ${best.quantize}, they take ${byteSize(best.bytes)}` : '';
  const what = encoderBytes > 0 ? 'the weights and the encoder of images take' : 'the weights take';
  job.log('warning', `${what} ${byteSize(bytes)}, and ${byteSize(free)} of memory is free${advice}`);
}
