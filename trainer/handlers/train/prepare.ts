/** Turns a recipe into everything that training needs: engine, model, data, selected rows, and a compiled program with loaded variables. */
import { methodCatalog } from '../../catalog/methods.ts';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { BatchSource } from '../../data/batch/batches.ts';
import { residentBytes } from '../../job/memory-meter.ts';
import { type Base, openBase } from '../../job/open-base.ts';
import { processMemory } from '../../machine/process-memory.ts';
import { withInitial } from '../../model/weight-stream.ts';
import { atLeast } from '../../narrow.ts';
import { setUpTask } from '../../objective/set-up-task.ts';
import type { TaskSetup } from '../../objective/task-setup.ts';
import { chooseAttention } from '../../plan/choices/choose-attention.ts';
import { choosePrecision } from '../../plan/choices/choose-precision.ts';
import { type PlanFacts, planRun, planTargets } from '../../plan/run-plan.ts';
import type { Checkpoint } from '../../run/checkpoint/load-checkpoint.ts';
import { checkBudget } from '../../selection.ts';
import { checkBase, checkData } from './check-resumed.ts';
import { compileRun } from './compile-run.ts';
import { largest, type Prepared, type PrepareParams } from './prepared.ts';
import { checkRanksAgree, checkRecipesAgree } from './ranks/check-ranks.ts';
import { movedCheckpoint } from './second-choice.ts';
import { select } from './select-trained.ts';

/** The caller closes `base.folder.weights` and disposes of `session`. */
export async function prepareTraining(params: PrepareParams): Promise<Prepared> {
  const { recipe, job, startedAt, checkpoint } = params;
  checkRecipesAgree(params);
  const base = await openBase(params, () => new Date(startedAt), recipe.devices);
  try {
    checkBase(params, base);
    const { settings, units } = planTargets(recipe, base.model);
    if (methodCatalog[recipe.method].chooses === 'rows') checkBudget(units, settings.budget);
    const own = await choosePrecision({ ...params, model: base.model }, base.engine);
    const precision = params.ranks ? params.ranks.first(own) : own;
    const begun = { batching: checkpoint?.state.batching, begunLabels: checkpoint?.adapter.description.labels };
    // A session of another model would leave memory that the session of this one reuses, so measure before it.
    const { compares, hasTeacher } = objectiveCatalog[recipe.task];
    const opened = compares?.usesReference || hasTeacher ? residentBytes() : undefined;
    const setup = await setUpTask({ ...params, base, precision, ...begun }, 'train');
    checkData(params, setup.digest);
    checkRanksAgree(params, base, setup.digest);
    const baselineBytes = opened ?? setup.imageVectors?.residentBytes ?? residentBytes();
    const { selection: chosen, choice } = await select(params, { base, setup, precision });
    // The selection must be identical on all ranks, down to the last bit, whatever each has computed.
    const selection = params.ranks ? params.ranks.first(chosen) : chosen;
    const sources = sourcesOf(params, setup);
    const [source] = atLeast(sources, 1);
    const planned: PlanFacts = {
      recipe,
      headers: { config: base.folder.config, tensors: base.folder.weights.tensors },
      seesImages: setup.imageVectors !== undefined,
      on: { engine: base.engine.description.name, device: base.engine.description.device, gpu: base.engine.description.gpu },
      data: {
        model: setup.model,
        task: setup.task,
        trainShapes: source.plan.buckets,
        // Without held-out data, one forward pass still measures inference.
        evalShapes: setup.evaluator ? setup.evaluator.source.plan.buckets : [largest(source.plan)],
        answerCache: setup.evaluator?.answers,
        choiceShapes: setup.evaluator?.benchmarks?.shapes,
        judge: setup.evaluator?.answers?.judge,
      },
      selection,
      choice,
      dtype: precision.dtype,
      parts: params.ranks?.parts,
      // A resumed run keeps its recompute level unless an override changes it.
      recompute: recipe.recompute === 'auto' && checkpoint ? checkpoint.state.recompute : recipe.recompute,
    };
    const facts = { ...planned, fusesAttention: await chooseAttention({ ...params, facts: planned }, base.engine) };
    const from = checkpoint?.state.choiceDue ? { ...params, checkpoint: moved(checkpoint, facts, base) } : params;
    return await compileRun(from, { base, setup, sources, facts, baselineBytes });
  } catch (error) {
    await base.folder.weights.close();
    throw error;
  } finally {
    job.note('debug', `prepared; resident ${Math.round(processMemory().residentBytes / 1e6)} MB`);
  }
}

/** The batches to train on: one source for each device. */
function sourcesOf({ recipe: { devices }, checkpoint }: PrepareParams, { trainSource }: TaskSetup): readonly BatchSource[] {
  const looseGroups = checkpoint?.state.batching === 1;
  if (devices === 1) return [trainSource(looseGroups)];
  return Array.from({ length: devices }, (_, own) => trainSource(looseGroups, { count: devices, own }));
}

/** The checkpoint with the newly chosen rows in place of its own. */
function moved(checkpoint: Checkpoint, facts: PlanFacts, base: Base): Checkpoint {
  const { attachment: after, optimizer, model } = planRun(facts);
  const { attachment: before } = planRun({ ...facts, selection: checkpoint.adapter.description.rows, choice: undefined });
  return movedCheckpoint({ checkpoint, before, after, optimizer, weights: withInitial(model, base.folder.weights) });
}
