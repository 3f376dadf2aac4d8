/** The memory of a planned run on a graphics card, which need not be present: compiles its training step with the card's own compiler. */

import { CARD_ENGINE } from '../catalog/engines.ts';
import { cardOfTarget, isTpu, type TargetName, targetLabel, targetMaker } from '../catalog/tpus.ts';
import { type CardCompiler, openCardCompiler } from '../engine/pjrt/card-compiler.ts';
import type { CardProgramMemory } from '../engine/pjrt/card-programs.ts';
import { lowerSignature } from '../engine/pjrt/lower.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import { byteSize } from '../graph/types.ts';
import { readModelHeaders } from '../hub/open-model.ts';
import type { JobScope } from '../job/job-scope.ts';
import { valueFor } from '../narrow.ts';
import { planMark, trainingStep } from '../plan/memory/counted-passes.ts';
import { encoderMark, largestView } from '../plan/memory/price-encoder.ts';
import { type PlanHeaders, type PlannedPass, planRun, type RunPlan } from '../plan/run-plan.ts';
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
  /** The encoder for the largest view of an image; omitted if the samples have no images. */
  readonly encoder?: CompiledPass;
  /** The compiler, for example "jax-cuda13-pjrt 0.12.0.1". */
  readonly compiler: string;
}

const REPORT_MS = 10_000;

/** Runs the job 'card'. Compiling cannot be interrupted: aborting the job ends its process. */
export async function cardJob({ recipe, model, card, recompute, seesImages }: Request, { job, context }: JobScope): Promise<CardResult> {
  const compiler = openCardCompiler(context.cacheDir, targetMaker(card), { log: line => job.log('info', `  ${line}`) });
  const headers = typeof model === 'string' ? await readModelHeaders(model) : headersOf(model);
  const plan = planRun({
    recipe,
    headers,
    on: { engine: CARD_ENGINE, device: 'gpu', ...(!isTpu(card) && { card }) },
    recompute,
    seesImages,
  });
  const view = seesImages ? largestView(recipe, headers, plan) : undefined;
  job.phase(
    'compile',
    `compiling the training step${view ? ' and the encoder of images' : ''} for ${targetLabel(card)} with ${compiler.plugin}`,
  );
  const started = Date.now();
  const report = setInterval(() => job.log('info', `  compiling: ${duration((Date.now() - started) / 1000)} so far`), REPORT_MS);
  try {
    const training = await compileTraining(plan, recompute, card, compiler);
    const encoder = view && (await compilePass(view, { card, compiler, mark: encoderMark(view) }));
    return { ...training, ...(encoder && { encoder }), compiler: compiler.plugin };
  } finally {
    clearInterval(report);
  }
}

const headersOf = ({ config, processor, shapes }: ModelHeaders): PlanHeaders => ({
  config,
  processor,
  tensors: new Map(shapes.map(([name, shape]) => [name, { shape }])),
});

/** @throws EngineError with the compiler's reason */
export const compileTraining = (
  plan: RunPlan,
  recompute: RecomputePolicy,
  card: TargetName,
  compiler: CardCompiler,
): Promise<CompiledPass> =>
  compilePass(trainingStep(plan, recompute), { places: plan.places, card, compiler, mark: planMark(plan, recompute) });

interface CompileParams {
  readonly card: TargetName;
  readonly compiler: CardCompiler;
  /** The mark by which estimates find the program. */
  readonly mark: string;
  /** The memories of variables that are not on the card. */
  readonly places?: RunPlan['places'];
}

/** @throws EngineError with the compiler's reason */
export async function compilePass(
  { signature, variables }: PlannedPass,
  { card, compiler, mark, places }: CompileParams,
): Promise<CompiledPass> {
  const specs = new Map(variables.map(spec => [spec.name, spec]));
  const lowered = lowerSignature(signature, specs, { places, card: cardOfTarget(card) });
  const memory = await compiler.compile(card, { text: lowered.text, replicas: signature.replicas }, mark);
  const changedBytes = lowered.changed.reduce((sum, name) => sum + byteSize(valueFor(specs, name)), 0);
  const totalBytes = memory.arguments + memory.outputs - memory.aliased + memory.temporaries + memory.code;
  return { ...memory, changedBytes, totalBytes };
}
