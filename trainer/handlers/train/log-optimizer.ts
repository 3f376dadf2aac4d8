/** Logs how a run stores its optimizer state and the weights of the base, if not in the default way. */
import { engineCatalog } from '../../catalog/engines.ts';
import type { EngineDescription } from '../../engine/engine.ts';
import type { RecipeScope } from '../../job/job-scope.ts';
import { logHosted } from '../../job/log-hosted.ts';
import { isInMemory } from '../../machine/machine.ts';
import { trainableCount } from '../../method/method.ts';
import { hostedBytes } from '../../model/hosted-weights.ts';
import { FLOAT32_STORAGE } from '../../model/weight-storage.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import { byteSize, grouped } from '../../protocol/text/format.ts';
import { requireDisk } from '../../run/checkpoint/checkpoint.ts';
import { eightBitCount } from '../../train/optimizer.ts';
import { offloadedBytes } from '../../train/optimizer-offload.ts';
import { updateGroups } from '../../train/update-group.ts';

/** Logs how much of the optimizer state is in 8 bits. */
export function logEightBit({ recipe, job }: RecipeScope, { attachment, optimizer }: RunPlan): void {
  if (optimizer.eightBitFrom === undefined) return;
  const [count, all] = [eightBitCount(optimizer, updateGroups(attachment.trainables, optimizer)), trainableCount(attachment)];
  const rest = count === all ? '' : `; tensors of fewer than ${grouped(optimizer.eightBitFrom)} stay in 32`;
  job.log('info', `optim: ${recipe.optim}: the moments of ${grouped(count)} of ${grouped(all)} numbers are in 8 bits${rest}`);
}

/** Logs the location of the weights of the base if it is not the default. */
export function logBaseOffload({ recipe, job }: RecipeScope, plan: RunPlan, engine: EngineDescription): void {
  if (recipe.base_offload === 'none') return;
  const { storage = FLOAT32_STORAGE, hosted } = plan.attachment;
  const bytes = hostedBytes(plan.model, storage, hosted);
  if (bytes === 0) job.log('warning', 'base_offload: host has no effect: each weight of the blocks is too small, or trained as a whole');
  else logHosted(job, engine, plan.model, plan.attachment);
}

/** Logs the location of the optimizer's state if it is not the default. @throws RunError 'disk-full' */
export function logOffload(
  { recipe, runDir, job }: RecipeScope & { readonly runDir: string },
  { attachment, optimizer }: RunPlan,
  engine: EngineDescription,
): void {
  const wanted = recipe.optimizer_offload;
  if (wanted === 'none') return;
  const bytes = offloadedBytes(attachment, optimizer);
  const size = byteSize(bytes);
  const { offloadsTo, updatesOnHost } = engineCatalog[engine.name];
  if (!offloadsTo.includes(wanted))
    job.log(
      'warning',
      `optimizer_offload: ${wanted} has no effect on the ${engine.name} engine, which cannot keep the optimizer's state there`,
    );
  else if (!optimizer.offload)
    job.log('info', `optimizer_offload: ${wanted} has no effect without a GPU: the optimizer's state is in host memory in any case`);
  else if (bytes === 0) job.log('info', `optimizer_offload: ${wanted} has no effect: too few parameters are trained together`);
  else if (wanted === 'host') {
    const when = updatesOnHost ? 'where the update runs' : 'from which each part moves to the GPU for its update';
    job.log('info', `${size} of optimizer state are in host memory, ${when}`);
  } else {
    requireDisk(runDir, bytes, "the optimizer's state on disk");
    job.log('info', `${size} of optimizer state are on disk, in an unnamed file in ${runDir}`);
    if (isInMemory(runDir)) job.log('warning', `${runDir} is on an in-memory file system: offloading there saves no memory`);
  }
}
