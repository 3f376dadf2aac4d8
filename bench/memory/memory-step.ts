/** Measures the memory of one configuration in its own process: a model of given sizes with arbitrary weights. Prints one JSON line. */

import { tmpdir } from 'node:os';
import { openEngine } from '../../trainer/engine/open-engine.ts';
import type { PjrtSession } from '../../trainer/engine/pjrt/session.ts';
import { lowerProgram } from '../../trainer/engine/tensorflow/lower.ts';
import { emptyCache } from '../../trainer/generate/decode-program.ts';
import { Decoder } from '../../trainer/generate/decoder.ts';
import { fusedSteps } from '../../trainer/graph/fusion/plan.ts';
import { singleSteps } from '../../trainer/graph/fusion/step.ts';
import { liveness } from '../../trainer/graph/liveness.ts';
import { assemble, type Signature } from '../../trainer/graph/program.ts';
import { elementCount } from '../../trainer/graph/types.ts';
import { residentBytes } from '../../trainer/job/memory-meter.ts';
import { processMemory, resetPeak } from '../../trainer/machine/process-memory.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { elementAt, required } from '../../trainer/narrow.ts';
import { rewardSignature, rewardTraces } from '../../trainer/objective/answers/reward-program.ts';
import { withRewardSession } from '../../trainer/objective/answers/reward-session.ts';
import { untouchedIn } from '../../trainer/objective/untouched-in.ts';
import { headersOf } from '../../trainer/plan/config-headers.ts';
import { bufferRules } from '../../trainer/plan/memory/engine-memory.ts';
import { runCachedBatch } from '../../trainer/train/cached-batch.ts';
import { optimizerFeeds } from '../../trainer/train/optimizer.ts';
import { readSnapshot } from '../../trainer/train/snapshot.ts';
import { trainSignature } from '../../trainer/train/train-passes.ts';
import { APPLY, evalSignature } from '../../trainer/train/train-program.ts';
import { accumulates } from '../../trainer/train/training-params.ts';
import { loadVariables } from '../../trainer/train/variables.ts';
import { batchFeeds } from '../batch-feeds.ts';
import { readRequest } from '../request.ts';
import { type Configured, planOf, predict } from './memory-prediction.ts';

/** The request from `bench/memory/memory.ts`. */
export interface MemoryStepRequest extends Configured {
  readonly cacheDir: string;
  readonly steps: number;
}

/** Number of tokens written; enough to run every signature of an answer. */
const WRITTEN_TOKENS = 3;
/**
 * Step after which memory must not grow: by then, V8 has compiled the loop, and most holes that a compiler left in the heap have been
 * touched.
 */
const SETTLED_STEP = 100;

const request = readRequest<MemoryStepRequest>();

const engine = await openEngine(request.engine, { cacheDir: request.cacheDir });
const baselineBytes = residentBytes();
const plan = planOf(request);
const recompute = plan.recompute === 'auto' ? 'none' : plan.recompute;
const { model, attachment, optimizer } = plan;
const [shape, evalShape] = [elementAt(plan.trainShapes, 0), elementAt(plan.evalShapes, 0)];
const program = plan.program(recompute);
const session = await engine.compile(program, { offloadFolder: tmpdir() });
const compiledBytes = residentBytes();
const isApart = accumulates(plan);
const weights = arbitraryWeights(request.config);
await loadVariables(session, { model: weightStream(model, weights), attachment, optimizer, accumulates: isApart });
const { answerCache, judge } = plan;
if (answerCache && model.kind === 'causal') await session.load(emptyCache(model, answerCache.tokens, answerCache.slots));
const loadedBytes = residentBytes();

resetPeak();
const evaluation = required(program.signatures[evalSignature(evalShape)], 'the signature of the evaluation');
await session.run(evalSignature(evalShape), batchFeeds(evaluation, model, evalShape));
await writeAndScore();
const evalPeak = takePeak();
const afterEval = residentBytes();
for await (const _ of readSnapshot(session, attachment, optimizer)) globalThis.gc?.();
const snapshotPeak = takePeak();
const afterSnapshot = residentBytes();
resetPeak();
let firstPeak = 0;
let settledBytes = 0;
const inOnePass = planOf(request, ({ embedding: { mini_batch_size: _, ...embedding }, ...recipe }) => ({ ...recipe, embedding })).program(
  recompute,
);
const signature = required(inOnePass.signatures[trainSignature(shape)], 'the signature of the whole batch');
const { cached } = plan.task;
/** Reused feeds, as in a run of images: those of the current batch and of two that are decoded ahead. */
const batches = Array.from({ length: 3 }, () => batchFeeds(signature, model, shape));
for (let step = 1; step <= request.steps; step++) {
  const seed = Int32Array.of(0, step);
  const scalars = { ...optimizerFeeds(optimizer, 1e-4, step), seed };
  const feeds = elementAt(batches, step % batches.length);
  if (cached) await runCachedBatch(session, cached, { shape, rows: shape.batch, feeds, seedOf: () => seed });
  else await session.run(trainSignature(shape), { ...feeds, ...scalars });
  if (isApart) await session.run(APPLY, scalars);
  if (step === 1) firstPeak = takePeak();
  if (step === SETTLED_STEP) settledBytes = residentBytes();
}
await writeAndScore();
const stepPeak = processMemory().peakBytes;
const peakBytes = Math.max(firstPeak, stepPeak);
const afterBytes = residentBytes();
/** Growth since everything was used once; undefined if there were fewer steps. */
const grownBytes = settledBytes > 0 ? afterBytes - settledBytes : undefined;
const lowered = lowerProgram(program, {
  plan: fusedSteps,
  hasProducts: true,
  hasColumns: true,
  hasSums: false,
  hasNarrowKernels: true,
});
const peakOf = (each: Signature): number =>
  liveness(each, request.engine === 'tensorflow' ? fusedSteps(each) : singleSteps(each), bufferRules(request.engine, program)).peakBytes;
// Only the sessions of this engine have the method.
const countedIn = 'compiledMemory' in session ? (session as PjrtSession) : undefined;
const { predictedBytes, estimate } = predict(plan);
const { variables, signatures } = program;
console.log(
  JSON.stringify({
    predictedBytes,
    measuredBytes: peakBytes - processMemory().codeBytes,
    codeBytes: processMemory().codeBytes,
    /** The heap of WebAssembly, where the portable engine keeps its tensors. */
    heapBytes: process.memoryUsage().external - process.memoryUsage().arrayBuffers,
    grownBytes,
    method: plan.method,
    recompute,
    shape,
    variables: variables.length,
    loweredNodes: lowered.nodes.length,
    schedules: Object.fromEntries(Object.entries(signatures).map(([name, { schedule }]) => [name, schedule.length])),
    planned: {
      eval: peakOf(evaluation),
      train: Math.max(...plan.passesOf(shape).map(({ name }) => peakOf(required(signatures[name], name)))),
    },
    /** Memory that the engine's own compiler reports, if it does. */
    compiled: countedIn && {
      eval: await countedIn.compiledMemory(evalSignature(evalShape)),
      train: await countedIn.compiledMemory(trainSignature(shape)),
    },
    measured: {
      baselineBytes,
      compiledBytes,
      loadedBytes,
      evalPeak,
      afterEval,
      snapshotPeak,
      afterSnapshot,
      firstPeak,
      stepPeak,
      afterBytes,
      peakBytes,
    },
    estimate: { ...estimate, levels: undefined, buckets: undefined },
  }),
);
process.exit(0);

function takePeak(): number {
  const { peakBytes } = processMemory();
  resetPeak();
  return peakBytes;
}

/** Writes a few tokens after the longest prompts, as an evaluation does. If the recipe has a reward model, it scores a batch. */
async function writeAndScore(): Promise<void> {
  if (!answerCache || model.kind !== 'causal') return;
  const decoder = new Decoder(session, { ...answerCache, model });
  const slots = Array.from({ length: answerCache.slots }, (_, slot) => slot);
  for (const slot of slots) await decoder.read(new Array<number>(shape.tokens).fill(slot + 1), slot);
  for (let token = 0; token < WRITTEN_TOKENS; token++) {
    for (const slot of slots) decoder.push(slot, token);
    await decoder.step(slots);
  }
  if (!judge) return;
  const loaded = {
    model: judge.model,
    weights: arbitraryWeights(required(request.judge, 'the config of the reward model')),
    attachment: untouchedIn(judge.model, plan.precision),
    shapes: [judge.shape],
  };
  await withRewardSession(engine, loaded, async scoring => {
    const { signatures } = assemble(rewardTraces(judge.model, loaded.attachment, loaded.shapes));
    const name = rewardSignature(judge.shape);
    await scoring.run(name, batchFeeds(required(signatures[name], name), judge.model, judge.shape));
  });
}

/** Small weights of both signs: memory does not depend on them, and nothing overflows. */
function arbitraryWeights(config: Configured['config']) {
  const { tensors } = headersOf(config);
  const readFloat32 = async (name: string): Promise<Float32Array> => {
    const values = new Float32Array(elementCount(tensors.get(name)?.shape ?? []));
    for (let i = 0; i < values.length; i++) values[i] = ((i * 7919) % 1013) / 25_000 - 0.02;
    return values;
  };
  return { tensors, readFloat32 };
}
