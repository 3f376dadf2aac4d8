/**
 * Turns a recipe into everything that training needs: engine, model, data, selected rows, and a compiled program with
 * loaded variables.
 */

import path from 'node:path';
import type { AdapterDescription } from '../../adapter/adapter.ts';
import { describeAdapter } from '../../adapter/write-adapter.ts';
import { deviceText } from '../../catalog/device-card.ts';
import { methodCatalog } from '../../catalog/methods.ts';
import { wholeRows } from '../../coupling/coupling.ts';
import type { BatchPlan, Bucket } from '../../data/batch/batch-plan.ts';
import type { BatchSource } from '../../data/batch/batches.ts';
import { type DataDigest, describeDifference, sampleCount } from '../../data/data-digest.ts';
import type { Session } from '../../engine/engine.ts';
import { freeOnDevice } from '../../engine/free-on-device.ts';
import { writeJson, writeTextFile } from '../../files/durable-file.ts';
import { emptyCache } from '../../generate/decode-program.ts';
import { planner } from '../../graph/fusion/plan.ts';
import { RECOMPUTE_POLICIES } from '../../graph/recompute.ts';
import { float32Of } from '../../graph/types.ts';
import type { Evaluator } from '../../job/evaluate.ts';
import type { RecipeScope } from '../../job/job-scope.ts';
import { GrowthMeter, residentBytes } from '../../job/memory-meter.ts';
import { type Base, openBase } from '../../job/open-base.ts';
import type { Ranks } from '../../job/ranks.ts';
import { processMemory } from '../../machine/process-memory.ts';
import type { Attachment } from '../../method/method.ts';
import { isCoupled } from '../../method/spsft/coupled-rows.ts';
import type { SecondChoice } from '../../method/young-rows.ts';
import type { Model } from '../../model/model-spec.ts';
import type { Precision } from '../../model/weight-storage.ts';
import { withInitial } from '../../model/weight-stream.ts';
import { atLeast } from '../../narrow.ts';
import { setUpTask } from '../../objective/set-up-task.ts';
import type { MeasureBatch, TaskSetup } from '../../objective/task-setup.ts';
import { chooseAttention } from '../../plan/choices/choose-attention.ts';
import { choosePrecision } from '../../plan/choices/choose-precision.ts';
import { chooseRows } from '../../plan/choices/choose-rows.ts';
import { chooseElementsFor } from '../../plan/choices/choose-run-elements.ts';
import {
  chooseRecompute,
  describeRecompute,
  memoryPlan,
  type RecomputeChoice,
  type RecomputeParams,
  tuningBytes,
} from '../../plan/choose-recompute.ts';
import { type Coverage, coverageOf, describeCoverage } from '../../plan/coverage.ts';
import { planMark } from '../../plan/memory/counted-passes.ts';
import { type PlanFacts, planRun, planTargets, type RunPlan } from '../../plan/run-plan.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { RUN_FILES } from '../../protocol/run/run-files.ts';
import type { MemoryPlan } from '../../protocol/view/run.ts';
import { restoreResiduals } from '../../run/checkpoint/exchange-residuals.ts';
import type { Checkpoint } from '../../run/checkpoint/load-checkpoint.ts';
import { RunError } from '../../run-error.ts';
import { checkBudget, type Selection } from '../../selection.ts';
import { KEEP_START } from '../../train/base-pass.ts';
import { copiesInMemory } from '../../train/recipe-settings.ts';
import { writeSnapshot } from '../../train/snapshot.ts';
import { accumulates } from '../../train/training-params.ts';
import { type LoadedPart, loadVariables, storedWeights } from '../../train/variables.ts';
import { loadProgress } from '../load-progress.ts';
import { checkRanksAgree, checkRecipesAgree } from './check-ranks.ts';
import { compileAhead } from './compile-ahead.ts';
import { sayBaseOffload, sayEightBit, sayOffload } from './say-optimizer.ts';
import { chooseAgain, movedCheckpoint } from './second-choice.ts';

export interface PrepareParams extends RecipeScope {
  readonly runDir: string;
  /** When the run was begun, ISO 8601. */
  readonly startedAt: string;
  /** The state to resume from. */
  readonly checkpoint?: Checkpoint;
}

export interface Prepared {
  readonly recipe: Recipe;
  /** When the run was begun, ISO 8601. */
  readonly startedAt: string;
  readonly base: Base;
  readonly data: DataDigest;
  /** See `TrainerState`; a run keeps that of its start. */
  readonly batching: 2 | 3;
  readonly source: BatchSource;
  /** The parts of its batches, by the devices that train on them; itself for one device. */
  readonly sources: readonly BatchSource[];
  /** Present if there is held-out data. */
  readonly evaluator: Evaluator | undefined;
  readonly measure: MeasureBatch | undefined;
  readonly measureWhole: TaskSetup['measureWhole'];
  readonly plan: RunPlan;
  readonly recompute: RecomputeChoice;
  readonly coverage: Coverage;
  readonly adapter: AdapterDescription;
  readonly session: Session;
  readonly ranks: Ranks | undefined;
  /** The second choice of the rows that are trained. */
  readonly choice: SecondChoice | undefined;
  /** Resident before the model was loaded, and the parts that follow from shapes. */
  readonly memory: { readonly baselineBytes: number; readonly tuningBytes: number };
}

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
    const begun = checkpoint?.state.batching;
    const setup = await setUpTask({ ...params, base, precision, batching: begun }, 'train');
    checkData(params, setup.digest);
    checkRanksAgree(params, base, setup.digest);
    // Before importance, whose session frees its memory first.
    const baselineBytes = residentBytes();
    const { selection: chosen, choice } = await select(params, { base, setup, precision });
    // The same to the bit on all ranks, whatever each has computed.
    const selection = params.ranks ? params.ranks.first(chosen) : chosen;
    const sources = sourcesOf(params, setup);
    const [source] = atLeast(sources, 1);
    const planned: PlanFacts = {
      recipe,
      headers: { config: base.folder.config, tensors: base.folder.weights.tensors },
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
    return await compile(from, { base, setup, sources, facts, baselineBytes });
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

function checkBase({ checkpoint, recipe }: PrepareParams, { fingerprint }: Base): void {
  if (checkpoint && checkpoint.state.baseFingerprint !== fingerprint)
    throw new RunError(
      'checkpoint-mismatch',
      `the weights of ${recipe.model} have changed since the run began`,
      'Restore the old weights, or start a new run',
    );
}

/** The position in the data, and so every further batch, belongs to the samples that the run began with. */
function checkData({ checkpoint, job }: PrepareParams, { train, held }: DataDigest): void {
  const before = checkpoint?.state.data;
  if (before === undefined) return;
  const changed = describeDifference(before.train, train);
  // The order of samples depends on their number alone.
  const isRepaired =
    checkpoint?.state.stoppedAtSample && checkpoint.state.batching === 3 && sampleCount(before.train) === sampleCount(train);
  if (changed !== undefined && isRepaired)
    job.log(
      'warning',
      'the training data has changed since the run stopped at a sample that could not be used: further updates read it as it is now',
    );
  else if (changed !== undefined)
    throw new RunError(
      'checkpoint-mismatch',
      `the training data is not what the run began with (${changed})`,
      'Restore the old data, or start a new run',
    );
  if (describeDifference(before.held, held) !== undefined)
    job.log('warning', 'the held-out data has changed since the checkpoint: evaluations before and after it use different samples');
}

/** The checkpoint with the rows that have just been chosen in place of its own. */
function moved(checkpoint: Checkpoint, facts: PlanFacts, base: Base): Checkpoint {
  const { attachment: after, optimizer, model } = planRun(facts);
  const { attachment: before } = planRun({ ...facts, selection: checkpoint.adapter.description.rows, choice: undefined });
  return movedCheckpoint({ checkpoint, before, after, optimizer, weights: withInitial(model, base.folder.weights) });
}

interface Selected {
  /** Undefined for a method without a selection. */
  readonly selection?: Selection | undefined;
  /** The second choice that it comes from. */
  readonly choice?: SecondChoice | undefined;
}

/** A resumed run keeps its rows, columns or elements, unless a second choice is due; a new one selects them. */
async function select(
  params: PrepareParams,
  { base, setup, precision }: { readonly base: Base; readonly setup: TaskSetup; readonly precision: Precision },
): Promise<Selected> {
  const { recipe, checkpoint, runDir } = params;
  const { chooses } = methodCatalog[recipe.method];
  if (chooses === 'nothing') return {};
  const { settings, modules, units } = planTargets(recipe, setup.model);
  const choosing = { ...params, base, modules, units, setup, precision, outputFile: path.join(runDir, RUN_FILES.scores) };
  if (checkpoint?.state.choiceDue) return chooseAgain(choosing, checkpoint);
  if (checkpoint) {
    const { description } = checkpoint.adapter;
    if (isCoupled(settings)) return { selection: rowsOfCoupled(setup.model, description) };
    const selection = description[chooses === 'rows' && settings.trains === 'columns' ? 'columns' : chooses];
    return { selection, choice: checkpoint.state.choice };
  }
  return { selection: await (chooses === 'rows' ? chooseRows(choosing) : chooseElementsFor(choosing)) };
}

/** Rows whose columns are trained too are stored among the elements of their weight. */
const rowsOfCoupled = ({ modules }: Model, { rows, elements }: AdapterDescription): Selection =>
  new Map([
    ...rows,
    ...modules.flatMap(module => {
      const places = elements.get(module.name);
      return places ? [[module.name, wholeRows(module, places)] as const] : [];
    }),
  ]);

async function reportCoverage({ runDir, job }: PrepareParams, attachment: Attachment, coverage: Coverage): Promise<void> {
  for (const line of describeCoverage(coverage).split('\n')) job.log('info', line);
  await writeJson(path.join(runDir, RUN_FILES.coverage), coverage);
  const rows: Selection = new Map(
    attachment.trainables.flatMap(({ variable, rows, columns, elements }) => {
      if (rows) return [[rows.variable.name.replace(/\.rows$/, ''), rows.indices]];
      if (columns) return [[columns.variable.name.replace(/\.columns$/, ''), columns.indices]];
      const whole = elements && wholeRows({ weight: variable }, elements.indices);
      return whole && whole.length > 0 ? [[elements.variable.name.replace(/\.elements$/, ''), whole]] : [];
    }),
  );
  if (rows.size === 0) return;
  const selection = Object.fromEntries([...rows].map(([module, indices]) => [module, [...indices]]));
  await writeTextFile(path.join(runDir, RUN_FILES.selection), `${JSON.stringify(selection)}\n`);
}

interface Parts {
  readonly base: Base;
  readonly setup: TaskSetup;
  readonly sources: readonly BatchSource[];
  readonly facts: PlanFacts;
  readonly baselineBytes: number;
}

async function compile(params: PrepareParams, { base, setup, sources, facts, baselineBytes }: Parts): Promise<Prepared> {
  const [source] = atLeast(sources, 1);
  const { recipe, job, runDir, startedAt } = params;
  const plan = planRun(facts);
  const coverage = coverageOf(setup.model, plan.attached);
  await reportCoverage(params, plan.attached, coverage);
  const { buckets, paddingShare } = source.plan;
  job.note(
    'info',
    `batches: ${buckets.map(({ batch, tokens, targets }) => `${batch}×${tokens} (${targets} targets)`).join(', ')}; padding ${(100 * paddingShare).toFixed(1)}%`,
  );
  job.phase('compile', 'building the training program');
  // The compilation plans the programs that were priced.
  const fuse = planner();
  const { known } = base.engine;
  const recompute = chooseTogether(
    plan,
    {
      facts,
      sharers: (params.context.rank?.localSize ?? 1) * copiesInMemory({ ...recipe, processes: 1 }, facts.on),
      deviceBytes: await freeOnDevice(base.engine),
      fuse,
      known,
    },
    params,
  );
  job.log(recompute.fits ? 'info' : 'warning', describeRecompute(plan, recompute));
  const { device, gpu } = base.engine.description;
  if (gpu) job.log(gpu.assumed === undefined ? 'info' : 'warning', deviceText(gpu));
  const memoryFile = path.join(runDir, RUN_FILES.memory);
  await writeJson(memoryFile, memoryPlan(recompute, { device, baselineBytes }));
  const memory = { baselineBytes, tuningBytes: tuningBytes(recompute.estimate) };
  sayEightBit(params, plan);
  sayOffload(params, plan, base.engine.description);
  sayBaseOffload(params, plan, base.engine.description);
  await known?.note(planMark(plan, recompute.policy));
  const program = plan.program(recompute.policy);
  const session = await base.engine.compile(program, { offloadFolder: runDir, fuse });
  try {
    await compileAhead(session, program, job);
    const held = await fill(params, base, plan, session);
    await writeJson(memoryFile, memoryPlan(recompute, { device, baselineBytes, held }));
  } catch (error) {
    await session.dispose();
    throw error;
  }
  const adapter = describe(recipe, base, plan.attached, setup);
  const { digest: data, evaluator, measure, measureWhole } = setup;
  const { ranks } = params;
  return {
    recipe,
    startedAt,
    base,
    data,
    batching: setup.batching ?? 2,
    source,
    sources,
    evaluator,
    measure,
    measureWhole,
    plan,
    recompute,
    coverage,
    adapter,
    session,
    ranks,
    choice: facts.choice,
    memory,
  };
}

/** With several processes, the leanest level that one of them needs: all run the same program. */
function chooseTogether(plan: RunPlan, choice: RecomputeParams, { ranks }: PrepareParams): RecomputeChoice {
  const own = chooseRecompute(plan, choice);
  if (!ranks) return own;
  const leanest = Math.max(...ranks.all(RECOMPUTE_POLICIES.indexOf(own.policy)));
  const agreed = RECOMPUTE_POLICIES[leanest] ?? own.policy;
  return agreed === own.policy ? own : chooseRecompute(planRun({ ...choice.facts, recompute: agreed }), choice);
}

/** The shape that needs the most memory. */
export const largest = ({ buckets }: BatchPlan): Bucket =>
  buckets.reduce((a, b) => (b.tokens > a.tokens || (b.tokens === a.tokens && b.targets > a.targets) ? b : a));

/** @returns the growth of the process with each part that it keeps */
async function fill(
  { job, checkpoint, ranks }: PrepareParams,
  { folder }: Base,
  plan: RunPlan,
  session: Session,
): Promise<NonNullable<MemoryPlan['held']>> {
  const { model, attachment, optimizer } = plan;
  const growth = new GrowthMeter();
  const held: Partial<Record<LoadedPart, number>> = {};
  checkpoint?.check(attachment, optimizer);
  if (checkpoint) await attachment.taken?.restore(name => checkpoint.adapter.readFloat32(name));
  await loadVariables(
    session,
    {
      model: storedWeights(model, folder.weights, attachment, loadProgress(job)),
      attachment,
      optimizer,
      accumulates: accumulates(plan),
    },
    part => {
      held[part] = growth.take();
    },
  );
  if (attachment.starts && attachment.starts.length > 0) await session.run(KEEP_START, {});
  if (plan.answerCache && model.kind === 'causal') await session.load(emptyCache(model, plan.answerCache.tokens, plan.answerCache.slots));
  if (checkpoint) {
    const storedOf = new Map(attachment.trainables.map(({ name, stored }) => [name, stored]));
    await writeSnapshot(session, attachment, optimizer, async name => {
      const values = await checkpoint.read(name);
      return storedOf.get(name)?.toTrained(float32Of(values)) ?? values;
    });
    await restoreResiduals(ranks, checkpoint, job);
  }
  const { weights = 0, trained = 0, gradient = 0, optimizer: state = 0 } = held;
  return { weightsBytes: weights, trainedBytes: trained, gradientBytes: gradient, optimizerBytes: state };
}

function describe(recipe: Recipe, { folder, fingerprint }: Base, attachment: Attachment, { labels, model }: TaskSetup): AdapterDescription {
  const architecture = Array.isArray(folder.config.architectures) ? String(folder.config.architectures[0]) : undefined;
  const described = describeAdapter(attachment, { source: recipe.model, revision: recipe.revision, fingerprint, architecture });
  const { problem, pooling } = model.kind === 'classifier' ? model : {};
  return { ...described, problem, pooling, labels: labels.length > 0 ? labels : undefined };
}
