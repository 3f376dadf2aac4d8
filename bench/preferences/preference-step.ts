/** Runs updates of DPO on pairs of token ids, as the training loop does, in its own process: prints one JSON line. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ReferenceName } from '../../trainer/catalog/references.ts';
import type { BaseNlls } from '../../trainer/data/batch/answer-batches.ts';
import { trainBatchSettings } from '../../trainer/data/batch/batch-settings.ts';
import { dataStart } from '../../trainer/data/batch/batches.ts';
import { isPairBatch, pairSource, planPairs, sidesOf } from '../../trainer/data/batch/pair-batches.ts';
import type { Pair, TokenSequence } from '../../trainer/data/types.ts';
import { beginStep } from '../../trainer/handlers/train/train-step.ts';
import { Job } from '../../trainer/job/job.ts';
import { openBase } from '../../trainer/job/open-base.ts';
import { processMemory, resetPeak } from '../../trainer/machine/process-memory.ts';
import { trainableCount } from '../../trainer/method/method.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { elementAt, required } from '../../trainer/narrow.ts';
import { baseLogProbabilities } from '../../trainer/objective/preference/base-log-probabilities.ts';
import { pairMeasures } from '../../trainer/objective/preference/pair-measures.ts';
import { untouchedIn } from '../../trainer/objective/untouched-in.ts';
import { tokenizerBytes } from '../../trainer/plan/memory/engine-overhead.ts';
import { priceRun } from '../../trainer/plan/memory/predict.ts';
import { planRun } from '../../trainer/plan/run-plan.ts';
import { KEEP_START } from '../../trainer/train/base-pass.ts';
import { meansOf } from '../../trainer/train/measure-sums.ts';
import { evalSignature, evaluationProgram } from '../../trainer/train/train-program.ts';
import { loadVariables } from '../../trainer/train/variables.ts';
import { benchRecipe } from '../recipe.ts';
import { readRequest } from '../request.ts';

/** The request from `bench/preferences/preferences.ts`. */
export interface PreferenceStepRequest {
  readonly folder: string;
  readonly cacheDir: string;
  /** Undefined to measure the inference of one batch. */
  readonly method?: 'spsft' | 'lora';
  readonly reference?: ReferenceName;
  readonly recompute?: string;
  readonly r?: number;
  readonly pairs: number;
  readonly promptTokens: number;
  readonly tokens: number;
  readonly steps: number;
  readonly warmUp: number;
}

/** The measurements that a process of either side reports about itself. */
export interface PreferenceMeasured {
  /** Resident bytes after the weights were loaded; on our side, after the optimizer state was, too. */
  readonly residentBytes: number;
  /** Peak from then on. */
  readonly peakBytes: number;
  /** On our side: the estimate for the whole process without a tokenizer, because pairs are given as token ids. */
  readonly predictedBytes?: number;
  readonly trainable?: number;
  readonly stepSeconds?: readonly number[];
  /** Processor time of these steps. */
  readonly cpuSeconds?: number;
  /** Seconds of the base model's pass over all pairs before the first update, including opening the model. */
  readonly referenceSeconds?: number | null;
  readonly losses?: readonly number[];
  /** Mean log-probability of the better answers in the first batch. */
  readonly logps?: number;
}

const request = readRequest<PreferenceStepRequest>();
const { method, reference = 'cached', recompute = 'cheap', r = 32, pairs: pairsOfBatch, promptTokens, tokens, steps, warmUp } = request;
const recipe = benchRecipe(
  [
    ...['engine: tensorflow', 'task: dpo', `method: ${method ?? 'spsft'}`, `r: ${r}`, `recompute: ${recompute}`, 'max_grad_norm: 1'],
    ...['learning_rate: 1.0e-4', 'lr_scheduler_type: constant', 'group_by_length: false', `max_length: ${tokens}`],
    ...[`per_device_train_batch_size: ${pairsOfBatch}`, `preference: {beta: 0.1, reference: ${reference}}`],
    ...(method === 'lora' ? ['lora_alpha: 16', 'lora_dropout: 0'] : []),
  ].join('\n'),
);
const job = new Job(() => undefined);
/** A cache of its own, so that the numbers belong to this measurement. */
const ownCache = mkdtempSync(path.join(tmpdir(), 'rowtune-bench-'));
const scope = {
  recipe: { ...recipe, model: request.folder },
  job,
  context: { cacheDir: request.cacheDir, baseDir: '/', hub: { offline: true } },
};
const base = await openBase(scope);
const { model, engine, folder } = base;
if (model.kind !== 'causal') throw new Error(`${model.family} writes no answers`);
const { vocabularySize } = model;
const settings = { ...trainBatchSettings(recipe), shuffle: false, packing: false };

const idsOf = (start: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => ((start * 29 + i * 37 + 5) % (vocabularySize - 3)) + 3);

function pairOf(k: number): Pair {
  const prompt = idsOf(3 * k, promptTokens);
  const side = (start: number): TokenSequence => ({
    ids: Int32Array.from([...prompt, ...idsOf(start, tokens - promptTokens)]),
    train: Uint8Array.from({ length: tokens }, (_, i) => Number(i >= promptTokens)),
  });
  return { chosen: side(3 * k + 1), rejected: side(3 * k + 2), file: 'bench', line: k + 1 };
}

const pairs = Array.from({ length: pairsOfBatch * (warmUp + steps) }, (_, k) => pairOf(k));
const sourceWith = (baseNlls?: BaseNlls) => pairSource({ plan: planPairs(pairs, settings), pairs, padId: 0, baseNlls });
const shape = elementAt(sourceWith().plan.buckets, 0);
const headers = { config: folder.config, tensors: folder.weights.tensors };
const plan = planRun({ recipe, headers, on: { engine: engine.description.name, device: engine.description.device } });
const { task } = plan;

async function measureInference(): Promise<PreferenceMeasured> {
  const attachment = untouchedIn(model, plan.precision);
  const session = await engine.compile(evaluationProgram({ task, attachment }, [shape]));
  await loadVariables(session, { model: weightStream(model, folder.weights, attachment), attachment });
  const residentBytes = settle();
  const source = sourceWith();
  const batch = await source.fill(elementAt(source.plan.epoch(0), 0));
  for (let run = 0; run < warmUp; run++) {
    await session.run(evalSignature(shape), batch.feeds(1));
    // Leftovers of loading in the heap are freed when the first run ends.
    if (run === 0) resetPeak();
  }
  return { residentBytes, peakBytes: processMemory().peakBytes };
}

/** Resets the peak and returns the resident memory. */
function settle(): number {
  globalThis.gc?.();
  resetPeak();
  return processMemory().residentBytes;
}

async function measureTraining(): Promise<PreferenceMeasured> {
  const begun = performance.now();
  const isLive = plan.attachment.starts !== undefined;
  const [baseNlls] = isLive ? [] : await baseNumbers();
  const referenceSeconds = isLive ? null : (performance.now() - begun) / 1000;
  const source = sourceWith(baseNlls);
  const run = planRun({
    ...{ recipe, headers, on: plan.on },
    data: { model, task, trainShapes: source.plan.buckets, evalShapes: source.plan.buckets },
  });
  if (run.recompute === 'auto') throw new Error('a measurement names its level');
  const { attachment, optimizer } = run;
  const session = await engine.compile(run.program(run.recompute));
  await loadVariables(session, { model: weightStream(model, folder.weights, attachment), attachment, optimizer });
  if (attachment.starts && attachment.starts.length > 0) await session.run(KEEP_START, {});
  const residentBytes = settle();
  const measuring = { reward: () => 0, usesReference: true, learnsChosen: false };
  const parts = {
    ...{ session, sources: [source], plan: run, recipe, ranks: undefined, measureWhole: undefined },
    measure: (batch: Parameters<typeof isPairBatch>[0], outputs: Awaited<ReturnType<typeof session.run>>) =>
      isPairBatch(batch) ? pairMeasures(batch, outputs.nll, measuring) : {},
  };
  const [seconds, losses]: [number[], number[]] = [[], []];
  let [cursor, cpu, logps] = [dataStart, process.cpuUsage(), Number.NaN];
  for (let step = 1; step <= warmUp + steps; step++) {
    if (step === warmUp + 1) cpu = process.cpuUsage();
    const began = performance.now();
    const { next, result } = await beginStep(parts, cursor, step, recipe.learning_rate);
    const { loss, measures } = await result;
    seconds.push((performance.now() - began) / 1000);
    losses.push(loss);
    if (step === 1) logps = required(meansOf(measures).logp_chosen, 'the log-probability of the better answers');
    cursor = next;
  }
  const { user, system } = process.cpuUsage(cpu);
  const stepSeconds = seconds.slice(warmUp);
  const { peakBytes } = processMemory();
  const cpuSeconds = (user + system) / 1e6;
  const predictedBytes = priceRun(run).totalBytes - tokenizerBytes(vocabularySize, engine.description.name);
  const trainable = trainableCount(attachment);
  return { residentBytes, peakBytes, predictedBytes, trainable, stepSeconds, cpuSeconds, referenceSeconds, losses, logps };
}

const baseNumbers = (): Promise<BaseNlls[]> =>
  baseLogProbabilities({ ...scope, context: { ...scope.context, cacheDir: ownCache }, base, precision: plan.precision }, task, [
    { name: 'training', sequences: sidesOf(pairs), source: sourceWith() },
  ]);

const found = await (method === undefined ? measureInference() : measureTraining());
rmSync(ownCache, { recursive: true });
console.log(JSON.stringify(found satisfies PreferenceMeasured));
process.exit(0);
