/** Optimizers as graph transformations: a gradient and the state of one trainable become effects that update it. */

import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import { elementCount } from '../graph/types.ts';
import { chosenOf, type Trainable } from '../method/method.ts';
import { atLeast, elementAt } from '../narrow.ts';
import {
  ditherOf,
  eightBitMoments,
  fromBlocks,
  type GroupPart,
  groupParts,
  readEightBit,
  roundingNoise,
  toBlocks,
  writeEightBit,
} from './eight-bit.ts';
import type { OptimizerSettings } from './optimizer-settings.ts';
import { followMaster, homeOf, readTrained, rowRange, writeTrained } from './trained-part.ts';
import { isEightBitAdam, isOffloaded, joinMembers, splitMembers, type UpdateGroup } from './update-group.ts';

/** Values that change with every step, as scalar feeds. */
const OPTIMIZER_FEEDS = ['learningRate', 'beta1Power', 'beta2Power', 'epsilon'] as const;
type FeedName = (typeof OPTIMIZER_FEEDS)[number];
/** The same values for rows that were added later. */
const YOUNG_FEEDS = ['youngBeta1Power', 'youngBeta2Power', 'youngEpsilon'] as const;

/** The feeds of update number `step` (from 1). ε is scaled to give PyTorch's formula: see the `adam` operation. */
export function optimizerFeeds(settings: OptimizerSettings, learningRate: number, step: number): Record<string, Float32Array> {
  const { youngAfter } = settings;
  const values: Readonly<Record<FeedName, number>> & Partial<Record<(typeof YOUNG_FEEDS)[number] | 'dither', number>> = {
    learningRate,
    ...correctionsAt(settings, step),
    ...(settings.eightBitFrom !== undefined && { dither: ditherOf(step) }),
    ...(youngAfter !== undefined && youngCorrections(settings, step - youngAfter)),
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Float32Array.of(value)]));
}

function correctionsAt({ beta1, beta2, epsilon }: OptimizerSettings, step: number): Omit<Record<FeedName, number>, 'learningRate'> {
  const beta2Power = beta2 ** step;
  return { beta1Power: beta1 ** step, beta2Power, epsilon: epsilon * Math.sqrt(1 - beta2Power) };
}

function youngCorrections(settings: OptimizerSettings, step: number): Record<(typeof YOUNG_FEEDS)[number], number> {
  const { beta1Power, beta2Power, epsilon } = correctionsAt(settings, step);
  return { youngBeta1Power: beta1Power, youngBeta2Power: beta2Power, youngEpsilon: epsilon };
}

/** The variables that an optimizer stores for a group: of the group's shape, or codes and scales of 8-bit moments. */
export function optimizerState(settings: OptimizerSettings, group: UpdateGroup): VariableSpec[] {
  if (!isEightBit(settings, group))
    return stateNames(settings).map(name => ({ name: `${group.name}.${name}`, shape: group.shape, dtype: 'float32' }));
  return groupParts(group).flatMap(part => {
    const { m, v } = eightBitMoments(group, part);
    return [m.codes, m.scales, v.codes, v.scales];
  });
}

/** Number of trained values whose moments are in 8 bits. */
export const eightBitCount = (settings: OptimizerSettings, groups: readonly UpdateGroup[]): number =>
  groups.filter(group => isEightBit(settings, group)).reduce((sum, { shape }) => sum + elementCount(shape), 0);

const isEightBit = (settings: OptimizerSettings, { shape }: UpdateGroup): boolean =>
  settings.eightBitFrom !== undefined && isEightBitAdam(settings) && elementCount(shape) >= settings.eightBitFrom;

const stateNames = ({ name, momentum }: OptimizerSettings): readonly string[] =>
  name === 'sgd' ? (momentum > 0 ? ['momentum'] : []) : ['m', 'v'];

/** Feed nodes of a signature that updates. */
export function declareFeeds(graph: Graph): Readonly<Record<FeedName, Node>> {
  const feed = (name: string) => graph.feed(name, []);
  return { learningRate: feed('learningRate'), beta1Power: feed('beta1Power'), beta2Power: feed('beta2Power'), epsilon: feed('epsilon') };
}

/** Weight decay of a group: it applies to all members or to none. */
const decayOf = ({ settings, group }: Pick<UpdateParams, 'settings' | 'group'>): number =>
  group.members.some(({ undecayed }) => undecayed) ? 0 : settings.weightDecay;

export interface UpdateParams {
  readonly settings: OptimizerSettings;
  readonly group: UpdateGroup;
  /** In the shape of the group. */
  readonly gradient: Node;
  readonly feeds: Readonly<Record<FeedName, Node>>;
}

/** The effects that update one group by one step. */
export function update(graph: Graph, given: UpdateParams): Node[] {
  const { group, settings } = given;
  const params = { ...given, feeds: ratesOf(graph, given) };
  const only = elementAt(group.members, 0);
  const isWhole = group.members.length === 1 && !chosenOf(only);
  if (isWhole && isEightBit(settings, group)) return updateInParts(graph, params, only);
  // One operation updates weights and moments, so they must be in the same memory.
  const isTogether = !runsOnHost(params) || only.master !== undefined;
  if (isWhole && settings.name !== 'sgd' && isTogether) return updateWhole(graph, params, only);
  const current = joinMembers(
    graph,
    group,
    group.members.map(member => readTrained(graph, member)),
  );
  const { next, effects } = graph.within({ onHost: runsOnHost(params) }, () =>
    settings.name === 'sgd' ? sgd(graph, params, current) : adamRows(graph, params, current),
  );
  const writes = splitMembers(graph, group, next).map((part, i) => writeTrained(graph, elementAt(group.members, i), part));
  return [...effects, ...writes];
}

/** The feeds with the learning rate of the group, which all members share. */
function ratesOf(graph: Graph, { group, feeds }: UpdateParams): UpdateParams['feeds'] {
  const { rateFactor = 1 } = elementAt(group.members, 0);
  return rateFactor === 1 ? feeds : { ...feeds, learningRate: graph.mul(feeds.learningRate, rateFactor) };
}

/**
 * True if the update runs on the host. Only the group's values and gradients move between the two memories: the weights are read and
 * written where they are.
 */
const runsOnHost = ({ settings, group }: UpdateParams): boolean => (settings.offload?.fromGpu ?? false) && isOffloaded(settings, group);

/** Adam on a whole variable, by the engine's fused operation. */
function updateWhole(graph: Graph, params: UpdateParams, trainable: Trainable): Node[] {
  const { settings, group, gradient, feeds } = params;
  const [m, v] = atLeast(optimizerState(settings, group), 2);
  graph.declare(m);
  graph.declare(v);
  const home = homeOf(trainable);
  const weights = graph.read(home);
  const decay = decayOf(params);
  const coupled = settings.name === 'adam' && decay > 0 ? graph.add(gradient, graph.mul(weights, decay)) : gradient;
  const shrink =
    settings.name === 'adamw' && decay > 0 ? [graph.assignAdd(home.name, graph.mul(weights, graph.mul(feeds.learningRate, -decay)))] : [];
  const step = graph.node('adam', [coupled, feeds.learningRate, feeds.beta1Power, feeds.beta2Power, feeds.epsilon], {
    variable: home.name,
    m: m.name,
    v: v.name,
    beta1: settings.beta1,
    beta2: settings.beta2,
  });
  return [...shrink, step, ...followMaster(graph, trainable, { begin: 0, count: group.shape[0] as number, version: 1 })];
}

/** Adam with 8-bit moments on a whole variable, in parts of some rows each. */
function updateInParts(graph: Graph, params: UpdateParams, trainable: Trainable): Node[] {
  const { group, gradient } = params;
  const home = homeOf(trainable);
  const parts = groupParts(group);
  return parts.flatMap((part, i) => {
    const { begin, rows } = part;
    const current = graph.sliceAxis(graph.read(home, i), 0, begin, rows);
    const own = { ...params, gradient: graph.sliceAxis(gradient, 0, begin, rows) };
    const { next, effects } = graph.within({ onHost: runsOnHost(params) }, () => adamRows(graph, own, current, part));
    const write = graph.updateRows(home.name, rowRange(graph, begin, rows), next);
    return [...effects, write, ...followMaster(graph, trainable, { begin, count: rows, version: i + 1 })];
  });
}

/** The new values of the moments, and the effects that store them. */
function moveMoments(graph: Graph, { settings, group }: UpdateParams, g: Node, part: GroupPart): { m: Node; v: Node; effects: Node[] } {
  const [rate1, rate2] = [1 - settings.beta1, 1 - settings.beta2];
  if (!isEightBit(settings, group)) {
    const [mState, vState] = atLeast(optimizerState(settings, group), 2);
    const m = moveTowards(graph, mState, g, rate1);
    const v = moveTowards(graph, vState, graph.square(g), rate2);
    return { m: m.value, v: v.value, effects: [m.effect, v.effect] };
  }
  const states = eightBitMoments(group, part);
  const noise = roundingNoise(graph);
  const blocks = toBlocks(graph, g);
  const moved = (state: Node, target: Node, rate: number): Node => graph.add(state, graph.mul(graph.sub(target, state), rate));
  const m = moved(readEightBit(graph, states.m), blocks, rate1);
  const v = moved(readEightBit(graph, states.v), graph.square(blocks), rate2);
  const effects = [...writeEightBit(graph, states.m, m, noise), ...writeEightBit(graph, states.v, v, noise)];
  return { m: fromBlocks(graph, m, g.shape), v: fromBlocks(graph, v, g.shape), effects };
}

/** Adam on rows only (Kingma & Ba 2015; decoupled decay as in Loshchilov & Hutter 2019). */
function adamRows(graph: Graph, params: UpdateParams, current: Node, part?: GroupPart): { next: Node; effects: Node[] } {
  const { settings, group, gradient, feeds } = params;
  const weightDecay = decayOf(params);
  const decoupled = settings.name === 'adamw';
  const g = !decoupled && weightDecay > 0 ? graph.add(gradient, graph.mul(current, weightDecay)) : gradient;
  const { m, v, effects } = moveMoments(graph, params, g, part ?? elementAt(groupParts(group), 0));
  const one = graph.scalar(1);
  const { rate, epsilon } = correctedRate(graph, group, feeds);
  const change = graph.div(graph.mul(m, rate), graph.add(graph.sqrt(v), epsilon));
  const kept = decoupled && weightDecay > 0 ? graph.mul(current, graph.sub(one, graph.mul(feeds.learningRate, weightDecay))) : current;
  return { next: graph.sub(kept, change), effects };
}

/**
 * Adam's step size with bias corrections, and ε on the same scale. Both are scalars, or one value per row for a group with young rows,
 * whose moments started at 0 later. Old rows get the same values as in a group without young ones.
 */
function correctedRate(graph: Graph, group: UpdateGroup, { learningRate, beta1Power, beta2Power, epsilon }: UpdateParams['feeds']) {
  const one = graph.scalar(1);
  const rateOf = (power1: Node, power2: Node): Node =>
    graph.div(graph.mul(learningRate, graph.sqrt(graph.sub(one, power2))), graph.sub(one, power1));
  const rate = rateOf(beta1Power, beta2Power);
  if (group.members.every(({ young }) => young === undefined)) return { rate, epsilon };
  const young = youngColumn(graph, group);
  const [power1, power2, youngEpsilon] = atLeast(
    YOUNG_FEEDS.map(name => graph.feed(name, [])),
    3,
  );
  const blended = (old: Node, own: Node): Node => graph.add(old, graph.mul(young, graph.sub(own, old)));
  return { rate: blended(rate, rateOf(power1, power2)), epsilon: blended(epsilon, youngEpsilon) };
}

/** [rows, 1, …]: 1 for a young row of the group. */
function youngColumn(graph: Graph, { members, shape }: UpdateGroup): Node {
  const values = new Float32Array(shape[0] ?? 0);
  let at = 0;
  for (const { young, shape: own } of members) {
    if (young) values.set(young, at);
    at += own[0] ?? 0;
  }
  return graph.constant(values, [values.length, ...shape.slice(1).map(() => 1)], 'float32');
}

/**
 * state ← state + (target − state) · rate, in place: a new buffer for the state at every step would fragment the heap (100 MB for a 135M
 * model).
 */
function moveTowards(graph: Graph, state: VariableSpec, target: Node, rate: number): { effect: Node; value: Node } {
  const effect = graph.assignAdd(state.name, graph.mul(graph.sub(target, graph.read(state)), rate));
  return { effect, value: graph.read(state, 1) };
}

/** Stochastic gradient descent with PyTorch's momentum: b ← µ·b + g; w ← w − rate·b. */
function sgd(graph: Graph, params: UpdateParams, current: Node): { next: Node; effects: Node[] } {
  const { settings, group, gradient, feeds } = params;
  const weightDecay = decayOf(params);
  const g = weightDecay > 0 ? graph.add(gradient, graph.mul(current, weightDecay)) : gradient;
  const [momentum] = optimizerState(settings, group);
  if (!momentum) return { next: graph.sub(current, graph.mul(g, feeds.learningRate)), effects: [] };
  const effect = graph.assignAdd(momentum.name, graph.add(graph.mul(graph.read(momentum), settings.momentum - 1), g));
  return { next: graph.sub(current, graph.mul(graph.read(momentum, 1), feeds.learningRate)), effects: [effect] };
}
