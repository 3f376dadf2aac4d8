/** Compares a model folder with its reference numbers: logits, loss and the gradient of every parameter. */

import type { Session } from '../engine/engine.ts';
import { backward } from '../graph/gradient.ts';
import type { Node } from '../graph/graph.ts';
import { assemble, type Program, type Traced } from '../graph/program.ts';
import { elementCount, type HostArray } from '../graph/types.ts';
import type { AnyModel } from '../model/model-spec.ts';
import { isTransposed, type ParameterSpec } from '../model/module-specs.ts';
import { required } from '../narrow.ts';
import { feedsOfCausal, traceCausal } from './causal-reference.ts';
import { feedsOfClassifier, traceClassifier } from './classifier-reference.ts';
import type { Forward } from './forward.ts';
import type { Golden, GoldenResult, GoldenTensor } from './golden.ts';

export interface Check {
  readonly name: string;
  /** The largest difference, absolute or relative depending on the check. */
  readonly error: number;
  readonly tolerance: number;
  readonly ok: boolean;
}

/** Tolerances: absolute for logits and loss; relative to the norm of the reference for gradients. */
export const TOLERANCES = { logits: 1e-4, loss: 1e-5, gradients: 1e-3 } as const;

/**
 * Difference of two float32 computations, relative to the largest logit. For SmolLM2, whose logits reach 36.6, the relative error compared
 * with float64 is 1.8e-6 for PyTorch, 1.8e-6 for TensorFlow and 2.6e-6 for the portable engine; a float32 reference adds its own error.
 */
const RELATIVE_LOGITS = 5e-6;

/**
 * Returns the tolerance for logits compared with a float32 reference; it exceeds the absolute tolerance only if logits are larger than 20.
 */
export const logitsTolerance = (expected: ArrayLike<number>): number => {
  let largest = 0;
  for (let i = 0; i < expected.length; i++) largest = Math.max(largest, Math.abs(expected[i] as number));
  return Math.max(TOLERANCES.logits, RELATIVE_LOGITS * largest);
};

const EVALUATION = 'verify';
/** The signature with batch norm that uses the statistics of the batch. */
const TRAINING = 'verify/training';

const check = (name: string, error: number, tolerance: number): Check => ({ name, error, tolerance, ok: error <= tolerance });

/**
 * A program with a signature for each mode of the reference, whose outputs are logits, the loss, and each parameter's gradient norm with
 * its first elements.
 */
export function verifyProgram(model: AnyModel, golden: Golden): Program {
  const evaluation = model.kind === 'causal' ? traceCausal(model, golden) : traceClassifier(model, golden, 'frozen');
  const traces: Record<string, Traced> = { [EVALUATION]: withGradients(model.parameters, evaluation) };
  if (golden.train && model.kind === 'classifier')
    traces[TRAINING] = withGradients(model.parameters, traceClassifier(model, golden, 'updated'));
  return assemble(traces);
}

function withGradients(all: readonly ParameterSpec[], { graph, logits, loss, seeds, buffers = new Map() }: Forward): Traced {
  const parameters = all.map(parameter => ({ ...parameter, node: graph.read({ ...parameter, dtype: 'float32' }) }));
  const wrt = new Map(parameters.flatMap(({ buffer, node }) => (buffer ? [] : [[node, {}]])));
  const gradients = backward(graph, { seeds, wrt, policy: 'none' });
  const outputs: Record<string, Node> = { logits, loss };
  for (const parameter of parameters) {
    const { name, node } = parameter;
    const found = gradients.get(node) ?? buffers.get(name);
    if (!found) continue;
    const count = elementCount(found.shape);
    outputs[`norm ${name}`] = graph.sqrt(graph.sumAll(graph.square(found)));
    // The reference has the form of the files.
    const inFile = isTransposed(parameter) ? graph.transpose(found, [1, 0]) : found;
    outputs[`first ${name}`] = graph.slice(graph.reshape(inFile, [count]), [0], [Math.min(4, count)]);
  }
  return { graph, outputs, effects: [] };
}

/** Runs the program of `verifyProgram` with its variables loaded, and compares the result with the reference. */
export async function verifyModel(session: Pick<Session, 'run'>, model: AnyModel, golden: Golden): Promise<Check[]> {
  const feeds = model.kind === 'causal' ? feedsOfCausal(golden) : feedsOfClassifier(model, golden);
  const texts = model.kind === 'causal' ? undefined : golden.inputs.attention_mask;
  const checks = compare(await session.run(EVALUATION, feeds), golden, texts);
  if (!golden.train || model.kind === 'causal') return checks;
  const training = compare(await session.run(TRAINING, feeds), golden.train, texts);
  return [...checks, ...training.map(found => ({ ...found, name: `${found.name} (training mode)` }))];
}

function compare(outputs: Readonly<Record<string, HostArray>>, expected: GoldenResult, texts: GoldenTensor | undefined): Check[] {
  const output = (name: string): HostArray => required(outputs[name], name);
  const logits = withoutPadding(expected.logits.data, expected.logits, texts);
  return [
    check('logits', largestDifference(withoutPadding(output('logits'), expected.logits, texts), logits), logitsTolerance(logits)),
    check('loss', largestDifference(output('loss'), [expected.loss]), TOLERANCES.loss),
    ...compareNorms('gradient of', outputs, expected.grads),
    ...compareNorms('running', outputs, expected.buffers ?? {}),
  ];
}

/**
 * Logits of a text's own tokens, if an encoder gives [batch, tokens, labels]. In DeBERTa and ModernBERT, padding attends to nothing, so its
 * outputs depend on the implementation, and no loss counts them.
 */
function withoutPadding(
  logits: HostArray | readonly number[],
  { shape }: GoldenTensor,
  texts: GoldenTensor | undefined,
): readonly number[] {
  const [, , labels = 1] = shape;
  const tokens = shape.length === 3 ? texts?.data : undefined;
  return Array.from(logits).filter((_, at) => tokens?.[Math.floor(at / labels)] !== 0);
}

function compareNorms(noun: string, outputs: Readonly<Record<string, HostArray>>, expected: GoldenResult['grads']): Check[] {
  // A gradient that is zero in exact arithmetic (that of a key's bias) is rounding noise in both, so it has no meaningful relative error.
  const least = ROUNDING * Math.max(...Object.values(expected).map(({ l2 }) => l2));
  return Object.entries(expected).map(([name, { l2, first4 }]) => {
    const norm = outputs[`norm ${name}`]?.[0];
    if (norm === undefined) return check(`${noun} ${name}: not a parameter of this model`, Number.POSITIVE_INFINITY, TOLERANCES.gradients);
    const first = largestDifference(required(outputs[`first ${name}`], `first ${name}`), first4);
    return check(`${noun} ${name}`, Math.max(Math.abs(norm - l2), first) / Math.max(l2, least), TOLERANCES.gradients);
  });
}

/** The float32 error of a sum that is zero, relative to the largest norm. */
const ROUNDING = 1e-5;

export function largestDifference(found: HostArray | readonly number[], expected: readonly number[]): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((found[i] as number) - (expected[i] as number));
    worst = Number.isFinite(difference) ? Math.max(worst, difference) : Number.POSITIVE_INFINITY;
  }
  return worst;
}
