/** Measures one configuration of our side of the benchmark, in its own process: prints one JSON line. */

import type { EngineName } from '../trainer/engine/engine.ts';
import { openEngine } from '../trainer/engine/open-engine.ts';
import { fusedSteps } from '../trainer/graph/fusion/plan.ts';
import { singleSteps } from '../trainer/graph/fusion/step.ts';
import { liveness, nodesFlops } from '../trainer/graph/liveness.ts';
import type { Program, Signature } from '../trainer/graph/program.ts';
import type { RecomputePolicy } from '../trainer/graph/recompute.ts';
import { openModel } from '../trainer/hub/open-model.ts';
import { magnitude } from '../trainer/importance/row-scores.ts';
import { resetPeak } from '../trainer/machine/process-memory.ts';
import { type Attachment, type MethodSettings, trainableCount } from '../trainer/method/method.ts';
import { methods } from '../trainer/method/methods.ts';
import { placeTrained } from '../trainer/method/placement.ts';
import { targetsByUnit, unitsOf } from '../trainer/method/spsft/targets.ts';
import { loadModel } from '../trainer/model/load-model.ts';
import { isExperts, type ParameterSpec } from '../trainer/model/module-specs.ts';
import type { ComputeType } from '../trainer/model/weight-storage.ts';
import { weightStream, withInitial } from '../trainer/model/weight-stream.ts';
import { required } from '../trainer/narrow.ts';
import { causalTask } from '../trainer/objective/causal/causal-task.ts';
import { classifierTask } from '../trainer/objective/classifier/classifier-task.ts';
import { attentionForms, checkForms } from '../trainer/plan/choices/check-attention.ts';
import { createRandom, hashSeed } from '../trainer/random.ts';
import { type Budget, type RowsOf, type Selection, selectRows } from '../trainer/selection.ts';
import { optimizerFeeds } from '../trainer/train/optimizer.ts';
import { OFFLOAD_FROM } from '../trainer/train/optimizer-offload.ts';
import type { OptimizerSettings } from '../trainer/train/optimizer-settings.ts';
import { trainSignature } from '../trainer/train/train-passes.ts';
import { evalSignature, trainProgram } from '../trainer/train/train-program.ts';
import { loadVariables } from '../trainer/train/variables.ts';
import { batchFeeds } from './batch-feeds.ts';
import type { BenchMethod } from './configuration.ts';
import { checkDevice, type Device, takenMemory } from './device.ts';
import { readRequest } from './request.ts';

/** The request from `bench/run-side.ts`. */
export interface StepRequest {
  readonly folder: string;
  readonly cacheDir: string;
  readonly device: Device;
  readonly engine: EngineName;
  readonly method: BenchMethod;
  readonly r: number;
  readonly dropout: number;
  readonly recompute: RecomputePolicy;
  /** True if the optimizer state is on disk. */
  readonly offloads?: boolean;
  readonly dtype: ComputeType;
  readonly batch: number;
  readonly tokens: number;
  readonly layers?: number;
  readonly steps: number;
  readonly warmUp: number;
  /** True for random rows (columns always are) instead of those with the largest norm; the cost of a step does not depend on the choice. */
  readonly anyRows?: boolean;
}

const request = readRequest<StepRequest>();
const optimizer: OptimizerSettings = {
  ...{ name: 'adamw', weightDecay: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, momentum: 0 },
  ...(request.offloads && { offload: { to: 'disk', fromGpu: false, from: OFFLOAD_FROM } }),
};
const started = performance.now();
const engine = await openEngine(request.engine, { cacheDir: request.cacheDir });
checkDevice(engine, request.device);
const folder = await openModel(request.folder);
const model = loadModel({ ...folder.config, ...(request.layers !== undefined && { num_hidden_layers: request.layers }) });
/** Trains as PyTorch's side does: all of a classifier's head, and the experts of a mixture but not its router. */
const hasExperts = model.modules.some(isExperts);
const targets = {
  targetModules: hasExperts ? ['/_proj$/'] : ['all-linear'],
  freeze: [],
  modulesToSave: model.kind === 'classifier' ? ['head'] : [],
};
const base = withInitial(model, folder.weights);

async function scoresOf({ name, shape }: ParameterSpec): Promise<Float32Array> {
  const [count = 0] = shape;
  if (!request.anyRows && request.method !== 'columns') return magnitude(await base.readFloat32(name), count);
  const random = createRandom(hashSeed(0, name));
  return Float32Array.from({ length: count }, () => random.uniform());
}

async function select(units: readonly RowsOf[], budget: Budget): Promise<Selection> {
  const scores = new Map<string, Float32Array>();
  for (const { name, weight } of units) scores.set(name, await scoresOf(weight));
  return selectRows(units, scores, budget);
}

async function attach(): Promise<Attachment> {
  if (request.method === 'inference') return { method: 'full', trainables: [], initial: () => [] };
  const trains = request.method === 'columns' ? 'columns' : 'rows';
  const method = request.method === 'columns' ? 'spsft' : request.method;
  const budget = { r: request.r };
  const units = unitsOf(targetsByUnit(model, { ...targets, trains }), { trains });
  const selection = method === 'spsft' ? await select(units, budget) : new Map();
  const settings: MethodSettings = {
    ...targets,
    budget,
    trains,
    rank: request.r,
    sparseRatio: 0.006,
    loraAlpha: 16,
    loraPlusRatio: 1,
    loraStart: 'kaiming',
    loraDropout: request.dropout,
    vera: { projectionKey: 0, dInitial: 0.1 },
    seed: 0,
  };
  return methods[method].attach(model, settings, selection);
}

const untouched = await attach();
const placed = (fusesAttention: boolean): Attachment =>
  placeTrained(untouched, model, { dtype: request.dtype, quantize: 'none', fusesAttention });
const trains = request.method !== 'inference';
const targetCount = model.kind === 'causal' ? request.batch * (request.tokens - 1) : request.batch;
const shape = { batch: request.batch, tokens: request.tokens, targets: targetCount };
const name = trains ? trainSignature(shape) : evalSignature(shape);
const programWith = (attachment: Attachment, recompute: RecomputePolicy): Program =>
  trainProgram({
    task: model.kind === 'causal' ? causalTask(model) : classifierTask(model),
    attachment,
    optimizer,
    maxGradNorm: 0,
    accumulationSteps: 1,
    recompute,
    trainShapes: trains ? [shape] : [],
    evalShapes: trains ? [] : [shape],
  });

/** Decides as a run does whether attention is one kernel. */
async function passesAsKernel(): Promise<boolean> {
  if (!engine.description.fusedAttention) return false;
  const forms = attentionForms(programWith(placed(true), 'none'));
  return forms.length > 0 && (await checkForms(engine, forms)).problem === undefined;
}
const fusesAttention = await passesAsKernel();
const attachment = placed(fusesAttention);
const programOf = (recompute: RecomputePolicy): Program => programWith(attachment, recompute);
const signatureOf = ({ signatures }: Program): Signature => required(signatures[name], name);
/** Compiles in a function, so that, as in a run, nothing keeps the graph during the steps. */
async function compile() {
  const program = programOf(request.recompute);
  return {
    batch: batchFeeds(signatureOf(program), model, shape),
    session: await engine.compile(program, { offloadFolder: request.cacheDir }),
  };
}
const { batch, session } = await compile();
await loadVariables(session, { model: weightStream(model, folder.weights, { storage: attachment.storage }), attachment, optimizer });
await folder.weights.close();
const loadSeconds = (performance.now() - started) / 1000;

globalThis.gc?.();
resetPeak();
const { residentBytes } = takenMemory(request.device, engine);
let firstPeak = 0;
let cpuStart = process.cpuUsage();
const seconds: number[] = [];
const losses: number[] = [];
for (let step = 1; step <= request.warmUp + request.steps; step++) {
  if (step === request.warmUp + 1) cpuStart = process.cpuUsage();
  const begin = performance.now();
  const feeds = trains ? { ...batch, ...optimizerFeeds(optimizer, 1e-4, step), seed: Int32Array.of(0, step) } : batch;
  const { loss } = await session.run(name, feeds);
  seconds.push((performance.now() - begin) / 1000);
  if (step === 1) {
    firstPeak = takenMemory(request.device, engine).peakBytes;
    resetPeak();
  }
  losses.push(required(loss?.[0], 'the loss'));
}
const cpu = process.cpuUsage(cpuStart);
const after = takenMemory(request.device, engine);
const stepSeconds = seconds.slice(request.warmUp);
const signature = signatureOf(programOf(request.recompute));
console.log(
  JSON.stringify({
    ...request,
    engine: engine.description.summary,
    fusesAttention,
    trainable: trains ? trainableCount(attachment) : 0,
    nodes: signature.schedule.length,
    plannedBytes: liveness(signature, engine.description.fuses ? fusedSteps(signature) : singleSteps(signature)).peakBytes,
    // The operations that the method needs, without recomputation.
    flops: nodesFlops(signatureOf(programOf('none')).schedule),
    loadSeconds,
    firstStepSeconds: seconds[0],
    stepSeconds,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    residentBytes,
    firstPeak,
    afterBytes: after.residentBytes,
    peakBytes: after.peakBytes,
    losses,
  }),
);
