/** Optimizers as graph transformations: a gradient and the state of one trainable become effects that update it. */
import type { Graph, Node, VariableSpec } from '../graph/graph.ts';
import type { Trainable } from '../method/method.ts';
import { chosenOf, readTrained, writeTrained } from './trained-part.ts';
import { splitMembers, type UpdateGroup } from './update-group.ts';

export type OptimizerName = 'adamw' | 'adam' | 'sgd';

export interface OptimizerSettings {
  readonly name: OptimizerName;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly momentum: number;
}

/** What changes from step to step, as scalar feeds. */
export const OPTIMIZER_FEEDS = ['learningRate', 'beta1Power', 'beta2Power', 'epsilon'] as const;
export type OptimizerFeeds = Readonly<Record<(typeof OPTIMIZER_FEEDS)[number], number>>;

/** Values of the feeds at update number `step` (from 1). ε is scaled so that PyTorch's form comes out: see the `adam` operation. */
export function optimizerFeeds(settings: OptimizerSettings, learningRate: number, step: number): OptimizerFeeds {
  const beta2Power = settings.beta2 ** step;
  return {
    learningRate,
    beta1Power: settings.beta1 ** step,
    beta2Power,
    epsilon: settings.epsilon * Math.sqrt(1 - beta2Power),
  };
}

/** The variables that an optimizer keeps for a group, of the group's own shape. */
export const optimizerState = (settings: OptimizerSettings, group: UpdateGroup): VariableSpec[] =>
  stateNames(settings).map(name => ({ name: `${group.name}.${name}`, shape: group.shape, dtype: 'float32' }));

const stateNames = ({ name, momentum }: OptimizerSettings): readonly string[] =>
  name === 'sgd' ? (momentum > 0 ? ['momentum'] : []) : ['m', 'v'];

/** Feed nodes of a signature that updates. */
export function declareFeeds(graph: Graph): Readonly<Record<keyof OptimizerFeeds, Node>> {
  const feed = (name: string) => graph.feed(name, []);
  return { learningRate: feed('learningRate'), beta1Power: feed('beta1Power'), beta2Power: feed('beta2Power'), epsilon: feed('epsilon') };
}

export interface UpdateParams {
  readonly settings: OptimizerSettings;
  readonly group: UpdateGroup;
  /** Of the group's shape. */
  readonly gradient: Node;
  readonly feeds: Readonly<Record<keyof OptimizerFeeds, Node>>;
}

/** The effects that move one group by one step. */
export function update(graph: Graph, params: UpdateParams): Node[] {
  const { group, settings } = params;
  const [only] = group.members as [Trainable];
  if (!chosenOf(only) && settings.name !== 'sgd') return updateWhole(graph, params, only);
  const current = graph.concat(
    group.members.map(member => readTrained(graph, member)),
    0,
  );
  const { next, effects } = settings.name === 'sgd' ? sgd(graph, params, current) : adamRows(graph, params, current);
  const writes = splitMembers(graph, group, next).map((part, i) => writeTrained(graph, group.members[i] as Trainable, part));
  return [...effects, ...writes];
}

/** Adam on a whole variable, by the engine's fused operation. */
function updateWhole(graph: Graph, { settings, group, gradient, feeds }: UpdateParams, trainable: Trainable): Node[] {
  const [m, v] = optimizerState(settings, group) as [VariableSpec, VariableSpec];
  graph.declare(m);
  graph.declare(v);
  const weights = graph.read(trainable.variable);
  const decay = settings.weightDecay;
  const coupled = settings.name === 'adam' && decay > 0 ? graph.add(gradient, graph.mul(weights, decay)) : gradient;
  const shrink =
    settings.name === 'adamw' && decay > 0
      ? [graph.assignAdd(trainable.variable.name, graph.mul(weights, graph.mul(feeds.learningRate, -decay)))]
      : [];
  const step = graph.node('adam', [coupled, feeds.learningRate, feeds.beta1Power, feeds.beta2Power, feeds.epsilon], {
    variable: trainable.variable.name,
    m: m.name,
    v: v.name,
    beta1: settings.beta1,
    beta2: settings.beta2,
  });
  return [...shrink, step];
}

/** Adam on rows alone (Kingma & Ba 2015; decoupled decay as Loshchilov & Hutter 2019). */
function adamRows(graph: Graph, { settings, group, gradient, feeds }: UpdateParams, current: Node): { next: Node; effects: Node[] } {
  const [mState, vState] = optimizerState(settings, group) as [VariableSpec, VariableSpec];
  const { beta1, beta2, weightDecay } = settings;
  const decoupled = settings.name === 'adamw';
  const g = !decoupled && weightDecay > 0 ? graph.add(gradient, graph.mul(current, weightDecay)) : gradient;
  const m = moveTowards(graph, mState, g, 1 - beta1);
  const v = moveTowards(graph, vState, graph.square(g), 1 - beta2);
  const one = graph.scalar(1);
  const rate = graph.div(graph.mul(feeds.learningRate, graph.sqrt(graph.sub(one, feeds.beta2Power))), graph.sub(one, feeds.beta1Power));
  const change = graph.div(graph.mul(m.value, rate), graph.add(graph.sqrt(v.value), feeds.epsilon));
  const kept = decoupled && weightDecay > 0 ? graph.mul(current, graph.sub(one, graph.mul(feeds.learningRate, weightDecay))) : current;
  return { next: graph.sub(kept, change), effects: [m.effect, v.effect] };
}

/**
 * state ← state + (target − state) · rate, in place: a state that changed its buffer at every step would break the heap into pieces
 * (100 MB on a 135M model).
 */
function moveTowards(graph: Graph, state: VariableSpec, target: Node, rate: number): { effect: Node; value: Node } {
  const effect = graph.assignAdd(state.name, graph.mul(graph.sub(target, graph.read(state)), rate));
  return { effect, value: graph.read(state, 1) };
}

/** Stochastic gradient descent with PyTorch's momentum: b ← µ·b + g; w ← w − rate·b. */
function sgd(graph: Graph, { settings, group, gradient, feeds }: UpdateParams, current: Node): { next: Node; effects: Node[] } {
  const g = settings.weightDecay > 0 ? graph.add(gradient, graph.mul(current, settings.weightDecay)) : gradient;
  const [momentum] = optimizerState(settings, group);
  if (!momentum) return { next: graph.sub(current, graph.mul(g, feeds.learningRate)), effects: [] };
  const effect = graph.assignAdd(momentum.name, graph.add(graph.mul(graph.read(momentum), settings.momentum - 1), g));
  return { next: graph.sub(current, graph.mul(graph.read(momentum, 1), feeds.learningRate)), effects: [effect] };
}
