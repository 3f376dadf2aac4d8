/**
 * Tests fused attention on the device itself: runs a small program with the kernel's forward and backward pass, and compares it with
 * chunked attention on the same values.
 */
import type { Engine } from '../../engine/engine.ts';
import { backward } from '../../graph/gradient.ts';
import { Graph, isOp, type Node } from '../../graph/graph.ts';
import { assemble, type Program } from '../../graph/program.ts';
import { dimensions, elementCount, float32Of } from '../../graph/types.ts';
import { withWindow } from '../../model/family/decoder/blocks/window.ts';
import { attention, queryChunk } from '../../model/layer/attention/attention.ts';
import type { AttentionParams } from '../../model/layer/attention/attention-params.ts';
import { paddingMask } from '../../model/layer/attention/self-attention.ts';
import type { ComputeType } from '../../model/weight-storage.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { createRandom } from '../../random.ts';

/** A variant of attention that a program computes as one kernel. */
export interface AttentionForm {
  readonly compute: ComputeType;
  readonly headDim: number;
  /** Query heads that share one key and value head. */
  readonly group: number;
  readonly tokens: number;
  readonly scale: number;
  readonly causal: boolean;
  /** A query attends to this many keys up to its own; omitted if it attends to all of them. */
  readonly window?: number;
  /** True if samples are padded to the same length. */
  readonly isPadded: boolean;
}

export interface AttentionCheck {
  /** Largest deviation from chunked attention among the output and the gradients, as a fraction of the tensor's root mean square. */
  readonly deviation: number;
  /** True if a second run gave identical bits. */
  readonly repeats: boolean;
  /** The reason why the kernel cannot be used; omitted if it can. */
  readonly problem?: string;
}

/** Adds attention to a graph. */
export type Attend = (graph: Graph, params: AttentionParams) => Node;

/**
 * Largest root mean square of a deviation, as a fraction of the tensor's. Chunks in bfloat16 deviate by 0.7% to 0.8% from float32
 * attention; a scale that is wrong by a tenth causes 16% to 20%.
 */
const TOLERANCE = 0.02;

/** Longer samples are tested with fewer tokens: the same remainder modulo 128. */
const MAX_TOKENS = 512;
const TOKEN_STEP = 128;

const SEED = 1;
const BATCH = 2;
const KEY_HEADS = 2;
/** Standard deviation of the scores: large enough that a few keys get most of a query's probability. */
const SCORE_DEVIATION = 2;
const MAX_CHARACTERS = 300;

const inputs = ['q', 'k', 'v'] as const;
const NAMES = ['queries', 'keys', 'values'] as const;

/** Returns the variants of attention that a program computes as one kernel, without duplicates. */
export function attentionForms({ signatures }: Program): AttentionForm[] {
  const nodes = Object.values(signatures).flatMap(({ schedule }) => schedule.filter(node => isOp(node, 'attention')));
  const forms = nodes.map(formOf).map(form => [JSON.stringify(form), form] as const);
  return [...new Map(forms).values()];
}

function formOf({ inputs: [q, k, , lengths], attrs: { scale, causal, window } }: Node<'attention'>): AttentionForm {
  const [, heads, tokens, headDim] = dimensions(q?.shape ?? [], 4);
  return {
    ...{ compute: q?.dtype === 'bfloat16' ? 'bfloat16' : 'float32', headDim, group: heads / (k?.shape[1] as number), scale, causal },
    tokens: tokens <= MAX_TOKENS ? tokens : MAX_TOKENS - TOKEN_STEP + (tokens % TOKEN_STEP),
    ...(window !== undefined && { window }),
    isPadded: lengths !== undefined,
  };
}

/**
 * Compares the device's kernel with chunked attention.
 * @param attend an implementation to test in place of the kernel
 */
export async function checkAttention(engine: Engine, given: AttentionForm, attend: Attend = fused): Promise<AttentionCheck> {
  const form = withNearWindow(given);
  const expected = await run(engine, form, chunked);
  try {
    const [once, again] = [await run(engine, form, attend), await run(engine, form, attend)];
    const deviations = expected.map(({ name, values }, i) => ({ name, share: deviation(values, once[i]?.values) }));
    const worst = deviations.reduce((most, each) => (each.share <= most.share ? most : each));
    const repeats = once.every(({ values }, i) => values.every((value, j) => Object.is(value, again[i]?.values[j])));
    const found = { deviation: worst.share, repeats };
    if (worst.share <= TOLERANCE) return found;
    const share = Number.isFinite(worst.share) ? `${(100 * worst.share).toFixed(1)}%` : 'numbers that are not finite';
    return { ...found, problem: `${worst.name} deviates from attention in chunks by ${share}, more than ${100 * TOLERANCE}%` };
  } catch (error) {
    const [line = ''] = messageOf(error).split('\n');
    return { deviation: Number.NaN, repeats: false, problem: `the device refuses it: ${line.slice(0, MAX_CHARACTERS)}` };
  }
}

/** Tests every variant until one cannot be used; the result is the worst of all usable ones. */
export async function checkForms(engine: Engine, forms: readonly AttentionForm[], attend?: Attend): Promise<AttentionCheck> {
  let worst: AttentionCheck = { deviation: 0, repeats: true };
  for (const form of forms) {
    const { deviation, repeats, problem } = await checkAttention(engine, form, attend);
    worst = { deviation: Math.max(worst.deviation, deviation), repeats: worst.repeats && repeats };
    if (problem !== undefined) return { ...worst, problem };
  }
  return worst;
}

/** Shortens a window that exceeds the tested tokens, since it would mask nothing. */
const withNearWindow = (form: AttentionForm): AttentionForm =>
  form.window === undefined ? form : { ...form, window: Math.max(1, Math.min(form.window, Math.floor(form.tokens / 3))) };

const fused: Attend = (graph, params) => attention(graph, { ...params, fused: true });
const chunked: Attend = (graph, params) => attention(graph, { ...params, fused: false });

interface Result {
  readonly name: string;
  readonly values: Float32Array;
}

/** Returns the output of attention and the gradients of its inputs. */
async function run(engine: Engine, form: AttentionForm, attend: Attend): Promise<Result[]> {
  const { program, feeds } = build(form, attend);
  const session = await engine.compile(program);
  try {
    const found = await session.run('attention', feeds);
    return Object.entries(found).map(([name, values]) => ({ name, values: float32Of(values) }));
  } finally {
    await session.dispose();
  }
}

function build({ compute, headDim, group, tokens, scale, causal, window, isPadded }: AttentionForm, attend: Attend) {
  const graph = new Graph();
  const keysShape = [BATCH, KEY_HEADS, tokens, headDim];
  const shapes = { q: [BATCH, KEY_HEADS * group, tokens, headDim], k: keysShape, v: keysShape };
  const [q, k, v] = inputs.map(name => graph.feed(name, shapes[name])) as [Node, Node, Node]; // one node per name
  const narrow = (x: Node): Node => graph.cast(graph.cast(x, compute), 'float32');
  const seen = isPadded ? graph.feed('seen', [BATCH, tokens]) : undefined;
  const unpadded = withWindow(graph, { mask: { kind: causal ? 'causal' : 'all' } }, tokens, window);
  const mask = seen ? { ...paddingMask(graph, seen), causal } : unpadded;
  const [ownQ, ownK, ownV] = [narrow(q), narrow(k), narrow(v)];
  const output = attend(graph, { q: ownQ, k: ownK, v: ownV, scale, mask, compute, chunk: queryChunk(tokens) });
  const towardOutput = graph.feed('towardOutput', shapes.q);
  const gradients = backward(graph, {
    seeds: [{ node: output, gradient: towardOutput }],
    wrt: new Map([ownQ, ownK, ownV].map(node => [node, {}])),
    policy: 'none',
  });
  const outputs = {
    'the output': output,
    ...Object.fromEntries(
      [ownQ, ownK, ownV].map((node, i) => [`the gradient toward ${NAMES[i]}`, gradients.get(node) ?? graph.zeros(node.shape)]),
    ),
  };
  const random = createRandom(SEED);
  // A product of uniform values in [−a, a] and [−1, 1] has the variance a² / 9.
  const amplitudes = { q: (3 * SCORE_DEVIATION) / (scale * Math.sqrt(headDim)), k: 1, v: 1 };
  const numbers = (shape: readonly number[], most: number) =>
    Float32Array.from({ length: elementCount(shape) }, () => most * (2 * random.uniform() - 1));
  const given = {
    ...Object.fromEntries(inputs.map(name => [name, numbers(shapes[name], amplitudes[name])])),
    towardOutput: numbers(shapes.q, 1),
    // The second sample is three fifths as long.
    ...(isPadded && { seen: Float32Array.from({ length: BATCH * tokens }, (_, i) => Number(i < tokens + Math.ceil(0.6 * tokens))) }),
  };
  return { program: assemble({ attention: { graph, outputs, effects: [] } }), feeds: given };
}

/** Returns the root mean square of the difference, as a fraction of the expected values' root mean square. */
function deviation(expected: Float32Array, found: Float32Array | undefined): number {
  if (found?.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [difference, size] = [0, 0];
  for (const [i, value] of expected.entries()) {
    difference += (value - (found[i] as number)) ** 2;
    size += value ** 2;
  }
  const share = Math.sqrt(difference / size);
  return Number.isNaN(share) ? Number.POSITIVE_INFINITY : share;
}
