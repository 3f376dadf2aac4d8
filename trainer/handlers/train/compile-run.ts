/** Compiles the program of a run within the available memory, and loads its variables from the start values or a checkpoint. */
import path from 'node:path';
import type { AdapterDescription } from '../../adapter/adapter.ts';
import { describeAdapter } from '../../adapter/write-adapter.ts';
import { deviceText } from '../../catalog/device-card.ts';
import { wholeRows } from '../../coupling/coupling.ts';
import type { BatchSource } from '../../data/batch/batches.ts';
import type { Session } from '../../engine/engine.ts';
import { freeOnDevice } from '../../engine/free-on-device.ts';
import { writeJson, writeTextFile } from '../../files/durable-file.ts';
import { emptyCache } from '../../generate/decode-program.ts';
import { planner } from '../../graph/fusion/plan.ts';
import { RECOMPUTE_POLICIES } from '../../graph/recompute.ts';
import { float32Of } from '../../graph/types.ts';
import { GrowthMeter } from '../../job/memory-meter.ts';
import type { Base } from '../../job/open-base.ts';
import type { Attachment } from '../../method/method.ts';
import { chosenSize } from '../../model/model-spec.ts';
import { atLeast } from '../../narrow.ts';
import type { TaskSetup } from '../../objective/task-setup.ts';
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
import { type PlanFacts, planRun, type RunPlan } from '../../plan/run-plan.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { RUN_FILES } from '../../protocol/run/run-files.ts';
import type { MemoryPlan } from '../../protocol/view/run.ts';
import { restoreResiduals } from '../../run/checkpoint/exchange-residuals.ts';
import type { Selection } from '../../selection.ts';
import { KEEP_START } from '../../train/base-pass.ts';
import { copiesInMemory } from '../../train/recipe-settings.ts';
import { writeSnapshot } from '../../train/snapshot.ts';
import { accumulates } from '../../train/training-params.ts';
import { type LoadedPart, loadVariables, storedWeights } from '../../train/variables.ts';
import { loadProgress } from '../load-progress.ts';
import { compileAhead } from './compile-ahead.ts';
import { logBaseOffload, logEightBit, logOffload } from './log-optimizer.ts';
import type { Prepared, PrepareParams } from './prepared.ts';

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

export interface RunParts {
  readonly base: Base;
  readonly setup: TaskSetup;
  readonly sources: readonly BatchSource[];
  readonly facts: PlanFacts;
  readonly baselineBytes: number;
}

export async function compileRun(params: PrepareParams, { base, setup, sources, facts, baselineBytes }: RunParts): Promise<Prepared> {
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
  logEightBit(params, plan);
  logOffload(params, plan, base.engine.description);
  logBaseOffload(params, plan, base.engine.description);
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

/**
 * Chooses the recompute level. With several processes, all use the leanest level that one of them needs, because they run the same program.
 */
function chooseTogether(plan: RunPlan, choice: RecomputeParams, { ranks }: PrepareParams): RecomputeChoice {
  const own = chooseRecompute(plan, choice);
  if (!ranks) return own;
  const leanest = Math.max(...ranks.all(RECOMPUTE_POLICIES.indexOf(own.policy)));
  const agreed = RECOMPUTE_POLICIES[leanest] ?? own.policy;
  return agreed === own.policy ? own : chooseRecompute(planRun({ ...choice.facts, recompute: agreed }), choice);
}

/** Loads the variables. @returns the growth of the process with each part that it keeps */
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
  const { problem, pooling, input } = model.kind === 'classifier' ? model : {};
  const imageSize = input && chosenSize(input);
  return { ...described, problem, pooling, imageSize, labels: labels.length > 0 ? labels : undefined };
}
