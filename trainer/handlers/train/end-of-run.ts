/** The result of a run, with its final evaluation. */
import { takesGguf } from '../../artifact/gguf/gguf-file.ts';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { Evaluation } from '../../job/evaluate.ts';
import type { MemoryMeter } from '../../job/memory-meter.ts';
import { rewindAnswers } from '../../run/answers-file.ts';
import { listCheckpoints } from '../../run/checkpoint/checkpoint-folders.ts';
import { forgetEvaluation } from '../../run/metrics-file.ts';
import { evaluateStep } from './evaluate-step.ts';
import type { Prepared, RunParams } from './prepared.ts';
import type { RunMetrics } from './run-metrics.ts';
import type { LoopOutcome } from './train-loop.ts';
import { type TrainResult, worsening } from './train-result.ts';

export interface Finish {
  readonly prepared: Prepared;
  readonly outcome: LoopOutcome;
  readonly before: Evaluation | undefined;
  readonly memory: MemoryMeter;
  readonly metrics: RunMetrics;
}

export async function resultOf(params: RunParams, parts: Finish): Promise<TrainResult> {
  const { runDir, job, keeper, recipe, ranks } = params;
  const { prepared, outcome, before, memory } = parts;
  const { coverage, base, recompute } = prepared;
  const wanted = outcome.finished && recipe.load_best_model_at_end ? outcome.best : undefined;
  // Wait for the first rank to have saved.
  ranks?.agree();
  const checkpoints = await listCheckpoints(params.mainDir ?? runDir);
  const best = checkpoints.some(({ step }) => step === wanted?.step) ? wanted : undefined;
  if (wanted && !best) job.log('warning', `the best checkpoint (step ${wanted.step}) is missing: the run ends with its last one`);
  const last = checkpoints.find(({ step }) => step === (best?.step ?? outcome.step));
  const after = outcome.finished ? await evaluateEnd(params, parts, best?.step) : undefined;
  const finished = outcome.finished && !job.stop;
  const worse = worsening(before, after);
  if (worse !== undefined && params.mainDir === undefined) job.log('warning', worse);
  return {
    state: finished ? 'finished' : 'stopped',
    runDir,
    checkpoint: last?.folder ?? null,
    steps: outcome.step,
    totalSteps: outcome.totalSteps,
    stoppedEarly: outcome.stoppedEarly,
    loss: keeper.state.loss ?? null,
    before: before ?? null,
    after: after ?? null,
    trainable: coverage.trainable,
    trainableShare: coverage.share,
    secondsPerStep: median(outcome.stepSeconds),
    tokensPerSecond: median(outcome.stepRates) ?? 0,
    throughputUnit: objectiveCatalog[recipe.task].unit,
    takesGguf: await takesGguf(base),
    memory: base.engine.description.device === 'cpu' ? memory.split() : null,
    engine: base.engine.description.summary,
    recompute: recompute.policy,
  };
}

/** The metrics of the run's result, which are shown everywhere: those of the best checkpoint if requested, otherwise of the last update. */
async function evaluateEnd(
  { runDir, job, checkpoint }: RunParams,
  { prepared, outcome, before, metrics }: Finish,
  bestStep: number | undefined,
): Promise<Evaluation | undefined> {
  const { evaluator } = prepared;
  const { step, epoch, best, evaluation } = outcome;
  if (best && bestStep !== undefined && bestStep !== step) {
    job.log('info', `the best checkpoint is that of step ${bestStep}`);
    await metrics.handsOver({ step: bestStep, evaluation: best.evaluation });
    return best.evaluation;
  }
  if (evaluation || !evaluator) return evaluation;
  job.phase('evaluate', 'evaluating the trained model');
  const isRepeated = checkpoint?.state.step === step;
  if (isRepeated) await rewindAnswers(runDir, step - 1);
  const found = await evaluateStep({ prepared, evaluator, runDir, step, job });
  if (!found) return undefined;
  if (isRepeated) await forgetEvaluation(runDir, step);
  await metrics.evaluation({ step, epoch }, found, before);
  return found;
}

function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}
