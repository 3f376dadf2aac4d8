/**
 * The memory that each measure of importance takes beyond inference. It is measured on SmolLM2-135M and at the sizes of Llama-3.2-1B, each
 * in its own process, and compared with the liveness prediction for the same programs. Llama-3-8B is only predicted. Run by `npm run study
 * -- --importance`.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { untouched } from '../../trainer/adapter/apply-adapter.ts';
import { type MeasureName, measureNames, movesWeights, needsData } from '../../trainer/catalog/measures.ts';
import { epochBatches } from '../../trainer/data/batch/batches.ts';
import { fusedSteps } from '../../trainer/graph/fusion/plan.ts';
import { liveness } from '../../trainer/graph/liveness.ts';
import type { Program } from '../../trainer/graph/program.ts';
import { elementCount } from '../../trainer/graph/types.ts';
import { importanceProgram, meanGradientSpecs } from '../../trainer/importance/importance-program.ts';
import { MOVEMENT_STEP, movementProgram } from '../../trainer/importance/movement.ts';
import { type ImportanceData, scoreModel, sweepsOf } from '../../trainer/importance/score-model.ts';
import { Job } from '../../trainer/job/job.ts';
import { type Base, openBase } from '../../trainer/job/open-base.ts';
import { processMemory, resetPeak } from '../../trainer/machine/process-memory.ts';
import { targetModules } from '../../trainer/method/targets.ts';
import { causalModel, loadModel } from '../../trainer/model/load-model.ts';
import type { Model } from '../../trainer/model/model-spec.ts';
import { FLOAT32 } from '../../trainer/model/weight-storage.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { required, valueFor } from '../../trainer/narrow.ts';
import { causalTask } from '../../trainer/objective/causal/causal-task.ts';
import { setUpTask } from '../../trainer/objective/set-up-task.ts';
import { importanceDataOf } from '../../trainer/plan/choices/choose-rows.ts';
import type { BatchShape, Task } from '../../trainer/train/task.ts';
import { evalSignature, evaluationProgram } from '../../trainer/train/train-program.ts';
import { loadVariables } from '../../trainer/train/variables.ts';
import { writeFloat32Folder } from '../float32-folder.ts';
import { llama1b, paperModels } from '../memory/memory-models.ts';
import { randomWeights } from '../random-weights.ts';
import { readRequest } from '../request.ts';
import { recipeOf } from './jobs.ts';

interface Request {
  readonly cacheDir: string;
  readonly results: string;
  readonly spam: { readonly train: string };
  readonly models: { readonly smollm2: string };
  readonly threads: number;
  /** True to reuse the measurements of an interrupted call. */
  readonly resume: boolean;
  /** Set for a child process: the pass to run on the model in this folder. */
  readonly child?: { readonly pass: Pass; readonly model: string };
}

type Pass = MeasureName | 'inference' | typeof EXACT;
/** The measure `taylor` with the mean gradient over all samples, in one sweep. */
const EXACT = 'taylor, exact';
const measureOf = (pass: Exclude<Pass, 'inference'>): MeasureName => (pass === EXACT ? 'taylor' : pass);

interface Peaks {
  readonly measured: number;
  readonly predicted: number;
}

const SAMPLES = 4;
const CLASSES = 2;
const LARGE_SHAPE = { batch: 1, tokens: 512, targets: 8 };
const TARGETS = { targetModules: ['all-linear'], freeze: [] };
/** One measure for each way to compute scores; the others keep the same tensors. */
const representativePasses: readonly Pass[] = ['activation', 'taylor', 'taylor_row'];
const passes: readonly Pass[] = measureNames.filter(needsData);
const request = readRequest<Request>();

const recipe = recipeOf({
  task: 'causal_lm',
  model: request.child?.model ?? request.models.smollm2,
  'data.train': request.spam.train,
  'data.format': 'text_label',
  max_length: 256,
  recompute: 'block',
  threads: request.threads,
  'importance.batch_size': 2,
});

const inferenceProgram = (task: Task, shapes: readonly BatchShape[]): Program => evaluationProgram({ task, attachment: untouched }, shapes);

/**
 * Predicts the bytes of all live tensors that are not weights, at the worst point of the worst batch, plus the mean gradients of the exact
 * measure.
 */
function predict(pass: Pass, task: Task, model: Model, shapes: readonly BatchShape[]): number {
  if (pass === 'inference') return peakOf(inferenceProgram(task, shapes));
  const modules = targetModules(model, TARGETS);
  if (movesWeights(measureOf(pass))) return peakOf(movementProgram({ task, modules, shapes, recompute: 'block', stepSize: MOVEMENT_STEP }));
  const sweeps = pass === EXACT ? sweepsOf(modules, Number.POSITIVE_INFINITY) : [];
  const program = importanceProgram({ measure: measureOf(pass), task, modules, shapes, recompute: 'block', classes: CLASSES, sweeps });
  return peakOf(program) + meanGradientSpecs(sweeps).reduce((sum, { shape }) => sum + 4 * elementCount(shape), 0);
}

const peakOf = ({ signatures }: Program): number =>
  Math.max(
    ...Object.entries(signatures).flatMap(([name, signature]) =>
      /^(score|move|eval)/.test(name) ? [liveness(signature, fusedSteps(signature)).peakBytes] : [],
    ),
  );

async function measure(pass: Pass): Promise<Peaks> {
  const context = { cacheDir: request.cacheDir, baseDir: request.cacheDir, hub: { offline: true } };
  const job = new Job(() => undefined);
  const base = await openBase({ recipe, context, job });
  const setup = await setUpTask({ recipe, base, context, job }, 'train');
  const data = await importanceDataOf({ recipe, base, setup, context, precision: FLOAT32 }, [...Array(SAMPLES).keys()]);
  if (pass === 'inference') await runInference(base, setup.model, data);
  else
    await scoreModel({
      measure: measureOf(pass),
      model: setup.model,
      modules: targetModules(setup.model, TARGETS),
      weights: base.folder.weights,
      seed: 0,
      data: { ...data, exact: pass === EXACT, sweepBytes: Number.POSITIVE_INFINITY },
      // The first call comes when the weights are loaded.
      onProgress: done => {
        if (done === 0) startPeak();
      },
    });
  const measured = processMemory().peakBytes;
  return { measured, predicted: predict(pass, setup.task, setup.model, data.source.plan.buckets) };
}

/** Resets the peak after loading, which briefly holds a tensor twice. */
function startPeak(): void {
  globalThis.gc?.();
  resetPeak();
}

async function runInference(base: Base, model: Model, { task, source }: ImportanceData): Promise<void> {
  const session = await base.engine.compile(inferenceProgram(task, source.plan.buckets));
  await loadVariables(session, { model: weightStream(model, base.folder.weights), attachment: untouched });
  startPeak();
  for await (const batch of epochBatches(source, 0)) await session.run(evalSignature(batch.bucket), batch.feeds(1));
}

/** Measurements by model and pass, stored until all of them exist. */
const keptFile = path.join(request.cacheDir, 'study', 'importance-memory.json');
const kept: Record<string, Peaks> = request.resume && existsSync(keptFile) ? JSON.parse(readFileSync(keptFile, 'utf8')) : {};

function inProcess(pass: Pass, model: string): Peaks {
  const key = `${path.basename(model)}, ${pass}`;
  const known = kept[key];
  if (known) return known;
  const { status, stdout } = spawnSync(
    process.execPath,
    [...process.execArgv, required(process.argv[1], 'the script'), JSON.stringify({ ...request, child: { pass, model } })],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(`the pass '${pass}' failed`);
  // The last line that the child prints below.
  const peaks = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Peaks;
  kept[key] = peaks;
  writeFileSync(keptFile, JSON.stringify(kept));
  process.stderr.write(`${key}: ${megabytes(peaks.measured)} MB\n`);
  return peaks;
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

/** Writes random weights and SmolLM2's tokenizer; 4.3 GB on disk. */
async function writeLlama1b(): Promise<string> {
  const dir = path.join(request.cacheDir, 'study', 'llama-1b');
  if (existsSync(path.join(dir, 'tokenizer.json'))) return dir;
  await writeFloat32Folder(dir, { config: llama1b, weights: randomWeights(loadModel(llama1b), { seed: 5, gain: 1 }) });
  const context = { cacheDir: request.cacheDir, baseDir: request.cacheDir, hub: { offline: true } };
  const { folder } = await openBase({ recipe, context, job: new Job(() => undefined) });
  for (const [name, text] of (await folder.loadTokenizer()).files()) await writeFile(path.join(dir, name), text);
  await folder.weights.close();
  return dir;
}

/** The memory of inference, and the memory of each measure beyond it. */
function compare(model: string, chosen: readonly Pass[]): { readonly inference: Peaks; readonly above: ReadonlyMap<Pass, Peaks> } {
  const inference = inProcess('inference', model);
  const above = chosen.map(pass => {
    const { measured, predicted } = inProcess(pass, model);
    return [pass, { measured: measured - inference.measured, predicted: predicted - inference.predicted }] as const;
  });
  return { inference, above: new Map(above) };
}

const gradientBytes = (model: Model): number[] => targetModules(model, TARGETS).map(({ weight }) => 4 * elementCount(weight.shape));
const sum = (numbers: readonly number[]): number => numbers.reduce((all, n) => all + n, 0);

async function compareAll(): Promise<void> {
  const large = causalModel(paperModels['Llama-3-8B']);
  const predictedLarge = (pass: Pass): number => predict(pass, causalTask(large), large, [LARGE_SHAPE]);
  const middleDir = await writeLlama1b();
  const middle = compare(middleDir, representativePasses);
  await rm(middleDir, { recursive: true });
  const small = compare(request.models.smollm2, [...passes, EXACT]);
  const largeInference = predictedLarge('inference');
  const lines = passes.map(pass => {
    const cells = [small, middle].flatMap(({ above }) => [above.get(pass)?.measured, above.get(pass)?.predicted]);
    return `| ${pass} | ${[...cells, predictedLarge(pass) - largeInference].map(bytes => (bytes === undefined ? '–' : megabytes(bytes))).join(' | ')} |`;
  });
  const exact = valueFor(small.above, EXACT);
  const [middleBytes, largeBytes] = [gradientBytes(causalModel(llama1b)), gradientBytes(large)];
  const cpus = os.cpus();
  await writeFile(
    path.join(request.results, 'importance-memory.md'),
    `# Memory of the measures above inference, in MB

\`npm run study -- --importance\`. Highest resident memory of a process that scores all linear layers of a model on ${SAMPLES} mails of up to 256 tokens, two
at a time, \`recompute: block\`, less that of one that only evaluates them (SmolLM2-135M ${megabytes(small.inference.measured)} MB, Llama-3.2-1B ${megabytes(middle.inference.measured)} MB, weights and TensorFlow
included); next to it the prediction from the liveness of the two programs. Llama-3.2-1B has its sizes, random weights and SmolLM2's vocabulary: it is the
largest that is run here, in float32. Of Llama-3-8B one sample of ${LARGE_SHAPE.tokens} tokens. The gradient of the largest weight takes ${megabytes(Math.max(...middleBytes))} MB of the middle model
and ${megabytes(Math.max(...largeBytes))} MB of the large one, those of all ${megabytes(sum(middleBytes))} and ${megabytes(sum(largeBytes))} MB. What measures with gradients take is the inputs of the blocks, one block at
a time, and for \`taylor\` and \`taylor_squared\` (here \`importance.exact: false\`) one weight's gradient. With the default,
\`importance.exact: true\`, they hold mean gradients too, for as many weights at a time as there is room for: all of SmolLM2's in one sweep
took ${megabytes(exact.measured)} MB (${megabytes(exact.predicted)} predicted). A backward pass has more nodes, which take TensorFlow some MB that
no tensor accounts for. ${new Date().toISOString().slice(0, 10)}, ${cpus[0]?.model ?? 'unknown processor'}, ${cpus.length} cores.

| measure | SmolLM2-135M, measured | predicted | Llama-3.2-1B, measured | predicted | Llama-3-8B, predicted |
| --- | ---: | ---: | ---: | ---: | ---: |
${lines.join('\n')}
`,
  );
}

if (request.child === undefined) {
  await compareAll();
  await rm(keptFile, { force: true });
} else process.stdout.write(`${JSON.stringify(await measure(request.child.pass))}\n`);
process.exit(0);
