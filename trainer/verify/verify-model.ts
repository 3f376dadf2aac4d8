/** Compares a model folder with the reference numbers beside it: logits, loss and the gradient of every parameter. */
import type { Session } from '../engine/engine.ts';
import { backward } from '../graph/gradient.ts';
import { Graph, type Node } from '../graph/graph.ts';
import { assemble, type Program } from '../graph/program.ts';
import type { HostArray } from '../graph/types.ts';
import { HIDDEN } from '../model/layer/attention.ts';
import { headLossWithGradient } from '../model/layer/cross-entropy.ts';
import type { CausalModel } from '../model/model-spec.ts';
import { Tracer } from '../model/tracer.ts';
import type { Golden } from './golden.ts';

export interface Check {
  readonly name: string;
  /** Largest difference found, absolute or relative as the check says. */
  readonly error: number;
  readonly tolerance: number;
  readonly ok: boolean;
}

/** Logits and loss absolute; gradients relative to the norm of the reference. */
export const TOLERANCES = { logits: 1e-4, loss: 1e-5, gradients: 1e-3 } as const;

const check = (name: string, error: number, tolerance: number): Check => ({ name, error, tolerance, ok: error <= tolerance });

/** One signature that gives logits, the loss, and each parameter's gradient norm with its first elements. */
export function verifyProgram(model: CausalModel, golden: Golden): Program {
  const graph = new Graph();
  const [batch, tokens] = golden.inputs.input_ids.shape as [number, number];
  const ids = graph.feed('ids', [batch, tokens], 'int32');
  const seen = graph.feed('seen', [batch, 1, tokens]);
  const bias = graph.broadcast(graph.mul(graph.sub(graph.scalar(1), seen), HIDDEN), [batch, tokens, tokens]);
  const tracer = new Tracer({ graph });
  const hidden = model.hidden(tracer, { ids, mask: { kind: 'bias', bias, causal: true } });
  const head = graph.read({ ...model.head.weight, dtype: 'float32' });
  const logits = graph.matmul(hidden, head, { transposeB: true });
  const targets = labelled(golden).length;
  const { loss, seeds } = headLossWithGradient(
    graph,
    {
      hidden,
      weight: head,
      targetPositions: graph.feed('targetPositions', [targets], 'int32'),
      targetIds: graph.feed('targetIds', [targets], 'int32'),
      targetWeights: graph.feed('targetWeights', [targets]),
    },
    { weight: 'all' },
  );
  const parameters = model.parameters.map(parameter => ({ name: parameter.name, node: graph.read({ ...parameter, dtype: 'float32' }) }));
  const gradients = backward(graph, { seeds, wrt: new Map(parameters.map(({ node }) => [node, {}])), policy: 'none' });
  const outputs: Record<string, Node> = { logits, loss };
  for (const { name, node } of parameters) {
    const gradient = gradients.get(node) as Node;
    const count = gradient.shape.reduce((n, d) => n * d, 1);
    outputs[`norm ${name}`] = graph.sqrt(graph.sumAll(graph.square(gradient)));
    outputs[`first ${name}`] = graph.slice(graph.reshape(gradient, [count]), [0], [Math.min(4, count)]);
  }
  return assemble({ verify: { graph, outputs, effects: [] } });
}

/** Runs the program of `verifyProgram`, its variables loaded, and sets the result beside the reference. */
export async function verifyModel(session: Session, golden: Golden): Promise<Check[]> {
  const targets = labelled(golden);
  const outputs = await session.run('verify', {
    ids: Int32Array.from(golden.inputs.input_ids.data),
    seen: Float32Array.from(golden.inputs.attention_mask?.data ?? golden.inputs.input_ids.data.map(() => 1)),
    targetPositions: Int32Array.from(targets, target => target.position),
    targetIds: Int32Array.from(targets, target => target.id),
    targetWeights: new Float32Array(targets.length).fill(1 / targets.length),
  });
  const checks = [
    check('logits', largestDifference(outputs.logits as HostArray, golden.logits.data), TOLERANCES.logits),
    check('loss', largestDifference(outputs.loss as HostArray, [golden.loss]), TOLERANCES.loss),
  ];
  for (const [name, expected] of Object.entries(golden.grads)) {
    const norm = outputs[`norm ${name}`]?.[0];
    if (norm === undefined) {
      checks.push(check(`gradient of ${name}: not a parameter of this model`, Number.POSITIVE_INFINITY, TOLERANCES.gradients));
      continue;
    }
    const scale = Math.max(expected.l2, 1e-12);
    const first = largestDifference(outputs[`first ${name}`] as HostArray, expected.first4);
    checks.push(check(`gradient of ${name}`, Math.max(Math.abs(norm - expected.l2), first) / scale, TOLERANCES.gradients));
  }
  return checks;
}

/** Positions whose output predicts a labelled token: the label of token t is predicted at t − 1. */
function labelled(golden: Golden): { position: number; id: number }[] {
  const [, tokens] = golden.labels.shape as [number, number];
  return golden.labels.data.flatMap((id, at) => (id >= 0 && at % tokens > 0 ? [{ position: at - 1, id }] : []));
}

export function largestDifference(found: HostArray | readonly number[], expected: readonly number[]): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((found[i] as number) - (expected[i] as number));
    worst = Number.isFinite(difference) ? Math.max(worst, difference) : Number.POSITIVE_INFINITY;
  }
  return worst;
}
