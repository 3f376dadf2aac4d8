/** The memory of a planned run on a graphics card, which need not be present: compiles its training step with the card's own compiler. */
import { type CardName, cardCatalog, makerOf } from '../catalog/cards.ts';
import { CARD_ENGINE } from '../catalog/engines.ts';
import { type CardCompiler, openCardCompiler } from '../engine/pjrt/card-compiler.ts';
import type { CardProgramMemory } from '../engine/pjrt/card-programs.ts';
import { lowerSignature } from '../engine/pjrt/lower.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import { byteSize } from '../graph/types.ts';
import { readModelHeaders } from '../hub/open-model.ts';
import type { JobScope } from '../job/job-scope.ts';
import { valueFor } from '../narrow.ts';
import { planMark, trainingStep } from '../plan/memory/counted-passes.ts';
import { type PlanHeaders, planRun, type RunPlan } from '../plan/run-plan.ts';
import type { JobRequest, ModelHeaders } from '../protocol/messages/job-messages.ts';
import { duration } from '../protocol/text/format.ts';

/** Sizes of a compiled pass in bytes. */
export interface CompiledPass extends CardProgramMemory {
  /** Whether the result comes from the cache. */
  readonly found: boolean;
  /** Bytes of the variables that the pass changes, each of which should be updated in place. */
  readonly changedBytes: number;
  /** Bytes of everything on the card while the pass runs: arguments, results that do not reuse an argument's memory, temporaries, code. */
  readonly totalBytes: number;
}

type Request = Extract<JobRequest, { kind: 'card' }>;

export interface CardResult extends CompiledPass {
  /** The compiler, for example "jax-cuda13-pjrt 0.12.0.1". */
  readonly compiler: string;
}

const REPORT_MS = 10_000;

/** Runs the job 'card'. Compiling cannot be interrupted: aborting the job ends its process. */
export async function cardJob({ recipe, model, card, recompute, seesImages }: Request, { job, context }: JobScope): Promise<CardResult> {
  const compiler = openCardCompiler(context.cacheDir, makerOf(card), { log: line => job.log('info', `  ${line}`) });
  const headers = typeof model === 'string' ? await readModelHeaders(model) : headersOf(model);
  const plan = planRun({ recipe, headers, on: { engine: CARD_ENGINE, device: 'gpu', card }, recompute, seesImages });
  job.phase('compile', `compiling the training step for ${cardCatalog[card].label} with ${compiler.plugin}`);
  const started = Date.now();
  const report = setInterval(() => job.log('info', `  compiling: ${duration((Date.now() - started) / 1000)} so far`), REPORT_MS);
  try {
    return { ...(await compileTraining(plan, recompute, card, compiler)), compiler: compiler.plugin };
  } finally {
    clearInterval(report);
  }
}

const headersOf = ({ config, shapes }: ModelHeaders): PlanHeaders => ({
  config,
  tensors: new Map(shapes.map(([name, shape]) => [name, { shape }])),
});

/** @throws EngineError with the compiler's reason */
export async function compileTraining(
  plan: RunPlan,
  recompute: RecomputePolicy,
  card: CardName,
  compiler: CardCompiler,
): Promise<CompiledPass> {
  const { signature, variables } = trainingStep(plan, recompute);
  const specs = new Map(variables.map(spec => [spec.name, spec]));
  const lowered = lowerSignature(signature, specs, { places: plan.places, card: cardCatalog[card] });
  const memory = await compiler.compile(card, { text: lowered.text, replicas: signature.replicas }, planMark(plan, recompute));
  const changedBytes = lowered.changed.reduce((sum, name) => sum + byteSize(valueFor(specs, name)), 0);
  const totalBytes = memory.arguments + memory.outputs - memory.aliased + memory.temporaries + memory.code;
  return { ...memory, changedBytes, totalBytes };
}
