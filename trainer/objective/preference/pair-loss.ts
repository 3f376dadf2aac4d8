/** Losses of pairs of answers, each with its slope for the log-probability of both answers. */
import { isPairLoss, type PairLossName } from '../../catalog/preference-losses.ts';
import type { Graph, Node } from '../../graph/graph.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';

/** The answers of each sample; [samples, answers] each, for pairs with the better one first. */
export interface AnswerNodes {
  /** Log-probabilities of the answers, summed over their tokens. */
  readonly logps: Node;
  /** Log-probabilities minus those under the base model. */
  readonly ratios: Node;
  /** Number of trained tokens, at least 1. */
  readonly lengths: Node;
}

export interface AnswerLoss {
  /** The loss of each sample, [samples]. */
  readonly losses: Node;
  /** Slopes of the losses for the log-probabilities, [samples, answers]. */
  readonly slopes: Node;
}

/** A scalar function's value and slope. */
interface Curve {
  readonly value: Node;
  readonly slope: Node;
}

/** log(1 + exp x) = max(x, 0) + log(1 + exp −|x|); its slope is the sigmoid. */
export function softplus(graph: Graph, x: Node): Curve {
  const value = graph.add(graph.relu(x), graph.log(graph.add(graph.exp(graph.neg(graph.abs(x))), 1)));
  return { value, slope: graph.sigmoid(x) };
}

/**
 * A loss of the difference between the scores of the two answers.
 * @param scores [pairs, 2], log-probabilities times `scale`, possibly minus a constant
 * @param scale [pairs, 2]
 */
export function lossOfMargin(
  graph: Graph,
  { scores, scale }: { readonly scores: Node; readonly scale: Node | undefined },
  curve: (graph: Graph, margin: Node) => Curve,
): AnswerLoss {
  const signs = graph.constant(Float32Array.of(1, -1), [1, 2], 'float32');
  const { value, slope } = curve(graph, graph.sum(graph.mul(scores, signs), [1]));
  const slopes = graph.mul(graph.reshape(slope, [slope.shape[0] as number, 1]), signs);
  return { losses: value, slopes: scale ? graph.mul(slopes, scale) : slopes };
}

export const perToken = (graph: Graph, { lengths }: AnswerNodes): Node => graph.reciprocal(lengths);

/** Direct preference optimization (Rafailov et al. 2023) and its variants, with TRL's formulas and names. */
export function dpoLoss({
  loss_type: type,
  beta,
  label_smoothing: flipped,
}: Recipe['preference']): (graph: Graph, logs: AnswerNodes) => AnswerLoss {
  if (!isPairLoss(type)) throw new Error(`${type} is not a loss of pairs`);
  const curve = dpoCurves[type]({ beta, flipped });
  const isPerToken = type === 'ipo' || type === 'sigmoid_norm';
  return (graph, logs) => {
    const scale = isPerToken ? perToken(graph, logs) : undefined;
    return lossOfMargin(graph, { scores: scale ? graph.mul(logs.ratios, scale) : logs.ratios, scale }, curve);
  };
}

/** SimPO (Meng et al. 2024): −log σ(β·(difference of log-probabilities per token) − γ). */
export const simpoLoss =
  ({ beta, gamma, label_smoothing: flipped }: Recipe['preference']) =>
  (graph: Graph, logs: AnswerNodes): AnswerLoss => {
    const scale = perToken(graph, logs);
    const curve = sigmoid({ beta, flipped });
    return lossOfMargin(graph, { scores: graph.mul(logs.logps, scale), scale }, (_, margin) =>
      curve(graph, graph.sub(margin, gamma / beta)),
    );
  };

/**
 * The odds ratio of ORPO (Hong et al. 2024): −β·log σ(log odds), with p the geometric mean of an answer's token probabilities and odds
 * p / (1 − p). The slope of log p − log(1 − p) for log p is 1 / (1 − p).
 */
export const oddsRatioLoss =
  ({ beta }: Recipe['preference']) =>
  (graph: Graph, logs: AnswerNodes): AnswerLoss => {
    const perAnswer = perToken(graph, logs);
    const logp = graph.mul(logs.logps, perAnswer);
    // A probability of 1 has infinite odds, so p stays slightly below 1.
    const rest = graph.maximum(graph.sub(graph.scalar(1), graph.exp(logp)), 2 ** -24);
    const scores = graph.sub(logp, graph.log(rest));
    const curve = logistic(1, beta, 0);
    return lossOfMargin(graph, { scores, scale: graph.div(perAnswer, rest) }, curve);
  };

interface CurveSettings {
  readonly beta: number;
  /** Label smoothing: the share of pairs whose order is assumed to be wrong. */
  readonly flipped: number;
}

type MarginCurve = (settings: CurveSettings) => (graph: Graph, margin: Node) => Curve;

/** −(1 − ε)·log σ(βm) − ε·log σ(−βm); for ε above 0, conservative DPO (Mitchell 2023). */
const sigmoid: MarginCurve = ({ beta, flipped }) => logistic(beta, 1 - flipped, flipped);

/** a·log(1 + exp −βm) + b·log(1 + exp βm) */
function logistic(beta: number, a: number, b: number): (graph: Graph, margin: Node) => Curve {
  return (graph, margin) => {
    const x = graph.mul(margin, beta);
    const [right, wrong] = [softplus(graph, graph.neg(x)), softplus(graph, x)];
    const both = (x: Node, y: Node): Node => (b === 0 ? graph.mul(x, a) : graph.add(graph.mul(x, a), graph.mul(y, b)));
    return { value: both(right.value, wrong.value), slope: graph.mul(both(graph.neg(right.slope), wrong.slope), beta) };
  };
}

const dpoCurves: Readonly<Record<PairLossName, MarginCurve>> = {
  sigmoid,
  sigmoid_norm: sigmoid,
  hinge:
    ({ beta }) =>
    (graph, margin) => {
      const room = graph.sub(graph.scalar(1), graph.mul(margin, beta));
      return { value: graph.relu(room), slope: graph.mul(graph.cast(graph.less(graph.scalar(0), room), 'float32'), -beta) };
    },
  ipo:
    ({ beta }) =>
    (graph, margin) => {
      const far = graph.sub(margin, 1 / (2 * beta));
      return { value: graph.square(far), slope: graph.mul(far, 2) };
    },
  robust: ({ beta, flipped }) => logistic(beta, (1 - flipped) / (1 - 2 * flipped), -flipped / (1 - 2 * flipped)),
};
