/** The divergence of a model's next-token distribution from a teacher's. Only the teacher's most likely tokens are known. */
import type { Graph, Node } from '../../../graph/graph.ts';
import type { ChunkLogits, SoftLoss } from './cross-entropy.ts';

export interface DivergenceSettings {
  /** Both distributions are the softmax of logits divided by the temperature. */
  readonly temperature: number;
  /** 0: KL(teacher ‖ student); 1: KL(student ‖ teacher); between: the generalized Jensen–Shannon divergence. */
  readonly beta: number;
  /** bucket: the other tokens together are one more outcome; renormalize: both distributions are renormalized over the listed tokens. */
  readonly rest: 'bucket' | 'renormalize';
}

export interface TeacherNodes {
  /** The teacher's most likely tokens, all different, int32 [targets, k]. */
  readonly ids: Node;
  /** Their log-probabilities at this temperature, over the whole vocabulary, [targets, k]. */
  readonly logs: Node;
}

/** Replaces a probability of 0, whose logarithm is undefined. */
const TINY = 1e-30;

/**
 * The divergence of each target of a chunk. With p the teacher's and s the student's probabilities of the outcomes, and g the slopes for
 * log s, the slope for the logit of a listed token i is g_i − s_i·Σg. For another token j, part of the rest R, it is s_j·(g_R / s_R − Σg).
 * Both are divided by the temperature.
 */
export function teacherDivergence(
  graph: Graph,
  { logits, p, logSum, size }: Omit<ChunkLogits, 'begin'>,
  { ids, logs }: TeacherNodes,
  { temperature, beta, rest }: DivergenceSettings,
): SoftLoss {
  const [vocabulary, k] = [logits.shape[1] as number, ids.shape[1] as number];
  const rows = graph.constant(
    Int32Array.from({ length: size }, (_, row) => row * vocabulary),
    [size, 1],
    'int32',
  );
  const places = graph.reshape(graph.add(ids, rows), [size * k]);
  const cool = (x: Node): Node => graph.mul(x, 1 / temperature);
  const scatter = (values: Node): Node =>
    graph.reshape(graph.segmentSum(graph.reshape(values, [size * k]), places, size * vocabulary), [size, vocabulary]);
  const listed = cool(graph.reshape(graph.gather(graph.reshape(logits, [size * vocabulary]), places), [size, k]));
  if (rest === 'renormalize') {
    const normalize = (values: Node): Node => graph.sub(values, logSumExp(graph, values));
    const [teacher, student] = [normalize(logs), normalize(listed)];
    const { losses, slopes: g } = divergence(graph, { teacher, student, beta });
    return { losses, slopes: () => cool(scatter(graph.sub(g, graph.mul(graph.exp(student), total(graph, g))))) };
  }
  const isPlain = temperature === 1;
  const softmax = isPlain ? p : graph.softmax(cool(logits));
  const normalizer = isPlain ? graph.reshape(logSum, [size, 1]) : logNormalizer(graph, cool(logits), softmax);
  const own = graph.sub(listed, normalizer);
  // Summed over the other tokens: 1 minus the listed ones would round to 0 when they are nearly everything.
  const others = graph.mul(softmax, graph.sub(graph.scalar(1), scatter(graph.broadcast(graph.scalar(1), [size, k]))));
  const studentRest = graph.maximum(total(graph, others), TINY);
  const teacherRest = graph.maximum(graph.sub(graph.scalar(1), total(graph, graph.exp(logs))), TINY);
  const student = graph.concat([own, graph.log(studentRest)], 1);
  const { losses, slopes: g } = divergence(graph, { teacher: graph.concat([logs, graph.log(teacherRest)], 1), student, beta });
  return {
    losses,
    slopes() {
      // The rest's slope goes only to the other tokens: adding it to all tokens and subtracting it from the listed ones would round.
      const ofOthers = graph.mul(others, graph.div(graph.sliceAxis(g, 1, k, 1), studentRest));
      const ofAll = graph.sub(ofOthers, graph.mul(softmax, total(graph, g)));
      return cool(graph.add(ofAll, scatter(graph.sliceAxis(g, 1, 0, k))));
    },
  };
}

interface Divergence {
  /** The divergence of each row, [rows]. */
  readonly losses: Node;
  /** Slopes for the student's log-probabilities, up to a multiple of its probabilities; [rows, outcomes]. */
  readonly slopes: Node;
}

interface DivergenceParams {
  /** Log-probabilities of the outcomes, [rows, outcomes]. */
  readonly teacher: Node;
  readonly student: Node;
  readonly beta: number;
}

/** With m = β·p + (1 − β)·s: β·KL(p ‖ m) + (1 − β)·KL(s ‖ m) (Agarwal et al. 2024, equation 1), with the same limits as TRL. */
function divergence(graph: Graph, { teacher, student, beta }: DivergenceParams): Divergence {
  const sumRows = (x: Node): Node => graph.sum(x, [-1]);
  const p = graph.exp(teacher);
  if (beta === 0) return { losses: sumRows(graph.mul(p, graph.sub(teacher, student))), slopes: graph.neg(p) };
  const s = graph.exp(student);
  if (beta === 1) {
    const slopes = graph.mul(s, graph.sub(student, teacher));
    return { losses: sumRows(slopes), slopes };
  }
  const mixture = graph.log(graph.maximum(graph.add(graph.mul(p, beta), graph.mul(s, 1 - beta)), TINY));
  const slopes = graph.mul(graph.mul(s, graph.sub(student, mixture)), 1 - beta);
  const ofTeacher = graph.mul(graph.mul(p, graph.sub(teacher, mixture)), beta);
  return { losses: sumRows(graph.add(ofTeacher, slopes)), slopes };
}

const total = (graph: Graph, x: Node): Node => graph.sum(x, [-1], true);

/** log Σ exp of each row, [rows, 1]. */
function logSumExp(graph: Graph, x: Node): Node {
  const top = graph.max(x, [-1], true);
  return graph.add(top, graph.log(total(graph, graph.exp(graph.sub(x, top)))));
}

/** log Σ exp of each row, from a softmax that is already computed. */
const logNormalizer = (graph: Graph, x: Node, softmax: Node): Node =>
  graph.sub(graph.max(x, [-1], true), graph.log(graph.max(softmax, [-1], true)));
