/** Loads a model folder into the engine in its own process, and runs it once: prints one JSON line. */

import { openEngine } from '../../trainer/engine/open-engine.ts';
import { elementCount } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { processMemory } from '../../trainer/machine/process-memory.ts';
import type { Attachment } from '../../trainer/method/method.ts';
import { placeTrained } from '../../trainer/method/placement.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import type { Precision } from '../../trainer/model/weight-storage.ts';
import { required } from '../../trainer/narrow.ts';
import { causalTask } from '../../trainer/objective/causal/causal-task.ts';
import { evalSignature, trainProgram } from '../../trainer/train/train-program.ts';
import { loadVariables, storedWeights } from '../../trainer/train/variables.ts';
import { batchFeeds } from '../batch-feeds.ts';
import { checkDevice, type Device } from '../device.ts';
import { readRequest } from '../request.ts';

export interface LoadStepResult {
  /** From opening the folder to the last variable. */
  readonly seconds: number;
  /** Processor time of all threads during these seconds. */
  readonly cpuSeconds: number;
  /** Peak of JavaScript's heap and array buffers together. */
  readonly heapBytes: number;
  readonly largestTensorBytes: number;
  readonly residentBytes: number;
  /** The loss of one forward pass, which proves that the weights were loaded. */
  readonly loss: number;
}

interface LoadRequest extends Precision {
  readonly folder: string;
  readonly cacheDir: string;
  readonly device: Device;
}

const request = readRequest<LoadRequest>();
const engine = await openEngine('tensorflow', { cacheDir: request.cacheDir });
checkDevice(engine, request.device);
const begin = performance.now();
const cpuBegin = process.cpuUsage();
const folder = await openModel(request.folder);
const model = causalModel(folder.config);
const untrained: Attachment = { method: 'full', trainables: [], initial: () => [] };
const attachment = placeTrained(untrained, model, { dtype: request.dtype, quantize: request.quantize });
const shape = { batch: 1, tokens: 8, targets: 7 };
const program = trainProgram({
  task: causalTask(model),
  attachment,
  optimizer: { name: 'sgd', weightDecay: 0, beta1: 0, beta2: 0, epsilon: 0, momentum: 0 },
  maxGradNorm: 0,
  accumulationSteps: 1,
  recompute: 'none',
  trainShapes: [],
  evalShapes: [shape],
});
const session = await engine.compile(program);
let heapBytes = 0;
const look = (): void => {
  const { heapUsed, external } = process.memoryUsage();
  heapBytes = Math.max(heapBytes, heapUsed + external);
};
await loadVariables(session, {
  model: storedWeights(model, folder.weights, attachment, look),
  attachment,
});
await folder.weights.close();
const seconds = (performance.now() - begin) / 1000;
const cpu = process.cpuUsage(cpuBegin);
const cpuSeconds = (cpu.user + cpu.system) / 1e6;
globalThis.gc?.();
const { residentBytes } = processMemory();
const signature = required(program.signatures[evalSignature(shape)], 'the signature');
const { loss } = await session.run(evalSignature(shape), batchFeeds(signature, model, shape));
const largestTensorBytes = Math.max(...model.parameters.map(parameter => 4 * elementCount(parameter.shape)));
const result: LoadStepResult = { seconds, cpuSeconds, heapBytes, largestTensorBytes, residentBytes, loss: required(loss?.[0], 'the loss') };
console.log(JSON.stringify(result));
process.exit(0);
