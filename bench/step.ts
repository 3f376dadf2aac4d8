/** One configuration of our own side of the benchmark, in a process of its own: prints one JSON line. */
import { chooseEngine } from '../trainer/engine/choose-engine.ts';
import { openEngine } from '../trainer/engine/open-engine.ts';
import { liveness, signatureFlops } from '../trainer/graph/liveness.ts';
import type { Signature } from '../trainer/graph/program.ts';
import type { RecomputePolicy } from '../trainer/graph/recompute.ts';
import { openModel } from '../trainer/hub/open-model.ts';
import { magnitude } from '../trainer/importance/measure.ts';
import { processMemory, resetPeak } from '../trainer/memory/measure.ts';
import { type Attachment, type MethodName, type MethodSettings, trainableCount } from '../trainer/method/method.ts';
import { methods } from '../trainer/method/methods.ts';
import { targetModules } from '../trainer/method/targets.ts';
import { causalModel } from '../trainer/model/load-model.ts';
import { weightStream } from '../trainer/model/weight-stream.ts';
import { selectRows } from '../trainer/selection.ts';
import { causalTask } from '../trainer/train/causal-task.ts';
import { optimizerFeeds } from '../trainer/train/optimizer.ts';
import { evalSignature, trainProgram, trainSignature } from '../trainer/train/train-program.ts';
import { loadVariables } from '../trainer/train/variables.ts';

/** What `scripts/bench.mjs` asks for. */
interface StepRequest {
  readonly model: string;
  readonly cacheDir: string;
  readonly method: MethodName | 'inference';
  readonly r: number;
  readonly dropout: number;
  readonly recompute: RecomputePolicy;
  readonly batch: number;
  readonly tokens: number;
  readonly steps: number;
  readonly warmUp: number;
}

const request = JSON.parse(process.argv[2] as string) as StepRequest;
const optimizer = { name: 'adamw', weightDecay: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, momentum: 0 } as const;
const started = performance.now();
const engine = await openEngine(chooseEngine({ requested: 'tensorflow', cacheDir: request.cacheDir }).name, { cacheDir: request.cacheDir });
const folder = await openModel(request.model);
const model = causalModel(folder.config);
const targets = { targetModules: ['all-linear'], freeze: [] };

async function attach(): Promise<Attachment> {
  const { method } = request;
  if (method === 'inference') return { method: 'full', trainables: [], initial: () => [] };
  const budget = { r: request.r };
  const modules = targetModules(model, targets);
  const scores = new Map<string, Float32Array>();
  if (method === 'spsft')
    for (const module of modules)
      scores.set(module.name, magnitude(await folder.weights.readFloat32(module.weight.name), module.weight.shape[0] as number));
  const selection = method === 'spsft' ? selectRows(modules, scores, budget) : new Map();
  const settings: MethodSettings = {
    ...targets,
    budget,
    rank: request.r,
    sparseRatio: 0.006,
    loraAlpha: 16,
    loraDropout: request.dropout,
    vera: { projectionKey: 0, dInitial: 0.1 },
    seed: 0,
  };
  return methods[method].attach(model, settings, selection);
}

const attachment = await attach();
const trains = request.method !== 'inference';
// As PyTorch's side: every token but the first of each sequence is a label.
const shape = { batch: request.batch, tokens: request.tokens, targets: request.batch * (request.tokens - 1) };
const program = trainProgram({
  task: causalTask(model),
  attachment,
  optimizer,
  maxGradNorm: 0,
  accumulationSteps: 1,
  recompute: request.recompute,
  trainShapes: trains ? [shape] : [],
  evalShapes: trains ? [] : [shape],
});
const session = await engine.compile(program);
await loadVariables(session, { model: weightStream(model, folder.weights), attachment, optimizer });
await folder.weights.close();
const loadSeconds = (performance.now() - started) / 1000;

const ids = Int32Array.from({ length: request.batch * request.tokens }, (_, i) => (i * 7919 + 13) % model.vocabularySize);
const positions = Int32Array.from(ids.keys()).filter(i => i % request.tokens < request.tokens - 1);
const batch = {
  ids,
  targetPositions: positions,
  targetIds: positions.map(i => ids[i + 1] as number),
  targetWeights: new Float32Array(positions.length).fill(1 / positions.length),
};
globalThis.gc?.();
resetPeak();
const { residentBytes } = processMemory();
let firstPeak = 0;
let cpuStart = process.cpuUsage();
const seconds: number[] = [];
const losses: number[] = [];
for (let step = 1; step <= request.warmUp + request.steps; step++) {
  if (step === request.warmUp + 1) cpuStart = process.cpuUsage();
  const begin = performance.now();
  const scalars = Object.entries(optimizerFeeds(optimizer, 1e-4, step)).map(([name, value]) => [name, Float32Array.of(value)]);
  const feeds = trains ? { ...batch, ...Object.fromEntries(scalars), seed: Int32Array.of(0, step) } : batch;
  const { loss } = await session.run(trains ? trainSignature(shape) : evalSignature(shape), feeds);
  seconds.push((performance.now() - begin) / 1000);
  if (step === 1) {
    firstPeak = processMemory().peakBytes;
    resetPeak();
  }
  losses.push((loss as Float32Array)[0] as number);
}
const signature = program.signatures[trains ? trainSignature(shape) : evalSignature(shape)] as Signature;
const cpu = process.cpuUsage(cpuStart);
const stepSeconds = seconds.slice(request.warmUp);
const sorted = [...stepSeconds].sort((a, b) => a - b);
console.log(
  JSON.stringify({
    ...request,
    engine: engine.description.summary,
    trainable: trains ? trainableCount(attachment) : 0,
    nodes: signature.schedule.length,
    plannedBytes: liveness(signature).peakBytes,
    flops: signatureFlops(signature),
    loadSeconds,
    firstStepSeconds: seconds[0],
    secondsPerStep: sorted[Math.floor(sorted.length / 2)],
    stepSeconds,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    residentBytes,
    firstPeak,
    afterBytes: processMemory().residentBytes,
    peakBytes: processMemory().peakBytes,
    losses,
  }),
);
