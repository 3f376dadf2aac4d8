/**
 * What each measure of importance takes of memory above inference: measured on SmolLM2-135M, each in a process of its own, beside what the
 * liveness of the same programs predicts; and the prediction for Llama-3-8B. `npm run study -- --importance`.
 */
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { untouched } from '../trainer/adapter/apply-adapter.ts';
import { fusedSteps } from '../trainer/graph/fusion/plan.ts';
import { liveness } from '../trainer/graph/liveness.ts';
import type { Program } from '../trainer/graph/program.ts';
import { importanceProgram } from '../trainer/importance/importance-program.ts';
import { type MeasureName, measures, needsData } from '../trainer/importance/measure.ts';
import { type ImportanceData, scoreModel } from '../trainer/importance/score-model.ts';
import { processMemory, resetPeak } from '../trainer/memory/measure.ts';
import { targetModules } from '../trainer/method/targets.ts';
import { causalModel } from '../trainer/model/load-model.ts';
import type { Model } from '../trainer/model/model-spec.ts';
import { weightStream } from '../trainer/model/weight-stream.ts';
import { importanceDataOf } from '../trainer/run/choose-rows.ts';
import { Job } from '../trainer/run/job.ts';
import { type Base, openBase } from '../trainer/run/open-base.ts';
import { setUpTask } from '../trainer/run/task-setup.ts';
import { causalTask } from '../trainer/train/causal-task.ts';
import { epochBatches } from '../trainer/train/data/batches.ts';
import { optimizerSettings } from '../trainer/train/recipe-settings.ts';
import type { BatchShape, Task } from '../trainer/train/task.ts';
import { evalSignature, trainProgram } from '../trainer/train/train-program.ts';
import { loadVariables } from '../trainer/train/variables.ts';
import { paperModels } from './memory-models.ts';
import { recipeOf } from './study-jobs.ts';

interface Request {
  readonly cacheDir: string;
  readonly results: string;
  readonly spam: { readonly train: string };
  readonly models: { readonly smollm2: string };
  readonly threads: number;
  /** Of a child: what it runs. */
  readonly pass?: MeasureName | 'inference';
}

interface Peaks {
  readonly measured: number;
  readonly predicted: number;
}

const SAMPLES = 4;
const CLASSES = 2;
const LARGE_SHAPE = { batch: 1, tokens: 512, targets: 8 };
const TARGETS = { targetModules: ['all-linear'], freeze: [] };
const passes: readonly (MeasureName | 'inference')[] = ['inference', ...(Object.keys(measures) as MeasureName[]).filter(needsData)];
const request = JSON.parse(process.argv[2] as string) as Request;

const recipe = recipeOf({
  task: 'causal_lm',
  model: request.models.smollm2,
  'data.train': request.spam.train,
  'data.format': 'text_label',
  max_length: 256,
  recompute: 'block',
  threads: request.threads,
  'importance.batch_size': 2,
});

const inferenceProgram = (task: Task, shapes: readonly BatchShape[]): Program =>
  trainProgram({
    task,
    attachment: untouched,
    optimizer: optimizerSettings(recipe),
    maxGradNorm: 0,
    accumulationSteps: 1,
    recompute: 'none',
    trainShapes: [],
    evalShapes: shapes,
  });

function programOf(pass: MeasureName | 'inference', task: Task, model: Model, shapes: readonly BatchShape[]): Program {
  if (pass === 'inference') return inferenceProgram(task, shapes);
  return importanceProgram({
    measure: pass,
    task,
    modules: targetModules(model, TARGETS),
    shapes,
    recompute: 'block',
    classes: CLASSES,
    sweeps: [],
  });
}

/** Of everything alive that is no weight, at the worst moment of the worst batch. */
const peakOf = ({ signatures }: Program): number =>
  Math.max(
    ...Object.entries(signatures).flatMap(([name, signature]) =>
      /^(score|eval)/.test(name) ? [liveness(signature, fusedSteps(signature)).peakBytes] : [],
    ),
  );

async function measure(pass: MeasureName | 'inference'): Promise<Peaks> {
  const context = { cacheDir: request.cacheDir, baseDir: request.cacheDir, hub: { offline: true } };
  const job = new Job(() => undefined);
  const base = await openBase({ ...recipe, context, job });
  const setup = await setUpTask({ recipe, base, context, job }, 'train');
  const data = importanceDataOf({ recipe, base, setup }, [...Array(SAMPLES).keys()]);
  if (pass === 'inference') await runInference(base, setup.model, data);
  else
    await scoreModel({
      measure: pass,
      model: setup.model,
      modules: targetModules(setup.model, TARGETS),
      weights: base.folder.weights,
      seed: 0,
      data,
      // Called first when the weights are loaded.
      onProgress: done => {
        if (done === 0) startPeak();
      },
    });
  const measured = processMemory().peakBytes;
  return { measured, predicted: peakOf(programOf(pass, setup.task, setup.model, data.source.plan.buckets)) };
}

/** Loading holds a tensor twice for a moment, which is neither's. */
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

function inProcess(pass: MeasureName | 'inference'): Peaks {
  const { status, stdout } = spawnSync(
    process.execPath,
    [...process.execArgv, process.argv[1] as string, JSON.stringify({ ...request, pass })],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(`the pass '${pass}' failed`);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Peaks;
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

async function compareAll(): Promise<void> {
  const large = causalModel(paperModels['Llama-3-8B']);
  const predictedLarge = (pass: MeasureName | 'inference'): number => peakOf(programOf(pass, causalTask(large), large, [LARGE_SHAPE]));
  const [inference, largeInference] = [inProcess('inference'), predictedLarge('inference')];
  const lines = passes.slice(1).map(pass => {
    const { measured, predicted } = inProcess(pass);
    process.stderr.write(`${pass}: ${megabytes(measured - inference.measured)} MB above inference\n`);
    const cells = [measured - inference.measured, predicted - inference.predicted, predictedLarge(pass) - largeInference];
    return `| ${pass} | ${cells.map(megabytes).join(' | ')} |`;
  });
  const largest = Math.max(...targetModules(large, TARGETS).map(({ weight }) => 4 * weight.shape.reduce((n, d) => n * d, 1)));
  const cpus = os.cpus();
  await writeFile(
    path.join(request.results, 'importance-memory.md'),
    `# Memory of the measures above inference, in MB

\`npm run study -- --importance\`. Highest resident memory of a process that scores all linear layers of SmolLM2-135M on ${SAMPLES} mails of up to 256 tokens, two
at a time, \`recompute: block\`, less that of one that only evaluates them (${megabytes(inference.measured)} MB, weights and TensorFlow included); beside it what the liveness of
the two programs predicts, and the same for Llama-3-8B with one sample of ${LARGE_SHAPE.tokens} tokens, where the gradient of the largest weight alone
takes ${megabytes(largest)} MB and those of all would take ${megabytes(targetModules(large, TARGETS).reduce((sum, { weight }) => sum + 4 * weight.shape.reduce((n, d) => n * d, 1), 0))}. What measures with gradients take is the inputs of the blocks, one block at a time, and for
\`taylor\` and \`taylor_squared\` one weight's gradient; a backward pass has more nodes, which take TensorFlow some MB that no tensor accounts for.
${new Date().toISOString().slice(0, 10)}, ${cpus[0]?.model ?? 'unknown processor'}, ${cpus.length} cores.

| measure | SmolLM2-135M, measured | predicted | Llama-3-8B, predicted |
| --- | ---: | ---: | ---: |
${lines.join('\n')}
`,
  );
}

if (request.pass === undefined) await compareAll();
else process.stdout.write(`${JSON.stringify(await measure(request.pass))}\n`);
process.exit(0);
