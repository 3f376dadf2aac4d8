/** Tests fused steps: what may run together, in which order, and what no step may do. */
import { describe, expect, test } from 'vitest';
import { fusedSteps } from '../../../trainer/graph/fusion/plan.ts';
import { type Step, singleSteps } from '../../../trainer/graph/fusion/step.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { liveness } from '../../../trainer/graph/liveness.ts';
import { printSignature } from '../../../trainer/graph/print.ts';
import type { Signature } from '../../../trainer/graph/program.ts';
import type { DType } from '../../../trainer/graph/types.ts';
import { rmsNorm } from '../../../trainer/model/layer/norm.ts';
import { rotaryTables, rotate } from '../../../trainer/model/layer/positions/rotary.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { readNf4 } from '../../../trainer/model/nf4.ts';
import { required } from '../../../trainer/narrow.ts';
import { causalTask } from '../../../trainer/objective/causal/causal-task.ts';
import { attachFirst } from '../../../trainer/plan/run-plan.ts';
import { trainSignature } from '../../../trainer/train/train-passes.ts';
import { trainProgram } from '../../../trainer/train/train-program.ts';
import { eightBlocks } from '../../support/models/llama-sizes.ts';
import { settingsOf } from '../../support/models/method-settings.ts';
import { signatureOf } from '../../support/numbers/signature-of.ts';
import { adamw } from '../../support/runs/tiny-training.ts';
import { movedNextTo } from './moved-next-to.ts';

function built(build: (graph: Graph) => Readonly<Record<string, Node>>): Signature {
  const graph = new Graph();
  return signatureOf({ graph, outputs: build(graph), effects: [] });
}

/** Returns the steps that run, without sources. */
const shown = (steps: readonly Step[]): string[] =>
  steps.flatMap(({ nodes, program }) =>
    program
      ? [`fused ${nodes.map(({ op }) => op).join(' ')}`]
      : nodes.filter(({ op }) => !['feed', 'constant', 'read'].includes(op)).map(({ op }) => op),
  );

describe('what runs together', () => {
  test('a norm is one step, with its statistic where that is asked for too', () => {
    const steps = fusedSteps(
      built(graph => {
        const x = graph.feed('x', [6, 8]);
        return { y: rmsNorm(graph, { x, scale: graph.feed('scale', [8]), epsilon: 1e-5 }), square: graph.sum(graph.square(x), [-1], true) };
      }),
    );
    expect(shown(steps)).toEqual(['fused sum mul']);
  });

  test('heads are split, rotated and put together in one step', () => {
    const steps = fusedSteps(
      built(graph => {
        const x = graph.matmul(graph.feed('x', [10, 4]), graph.feed('w', [24, 4]), { transposeB: true });
        const heads = graph.transpose(graph.reshape(x, [2, 5, 3, 8]), [0, 2, 1, 3]);
        return { y: rotate(graph, heads, rotaryTables(graph, Float64Array.of(1, 0.5, 0.2, 0.1), 5)) };
      }),
    );
    expect(shown(steps)).toEqual(['matmul', 'fused concat']);
  });

  test('the first rows of a variable are a view: no step copies them, as it copies other rows', () => {
    const rows = (begin: number) =>
      shown(
        fusedSteps(
          built(graph => {
            const cache = graph.read({ name: 'cache', shape: [4, 16, 8], dtype: 'float32' });
            const used = graph.sliceAxis(cache, 0, begin, 2);
            return { scores: graph.matmul(graph.feed('q', [2, 1, 8]), used, { transposeB: true }) };
          }),
        ),
      );
    expect(rows(0)).toEqual(['slice', 'matmul']);
    expect(rows(1)).toEqual(['fused slice', 'matmul']);
  });

  test('a product stands between two steps, and what both need is not computed twice where that would keep more alive', () => {
    const steps = fusedSteps(
      built(graph => {
        const [a, b] = [graph.feed('a', [4, 4]), graph.feed('b', [4, 4])];
        const shared = graph.mul(graph.matmul(a, b), graph.matmul(b, a));
        return { y: graph.add(graph.matmul(graph.exp(shared), b), shared) };
      }),
    );
    expect(shown(steps)).toEqual(['matmul', 'matmul', 'fused mul exp', 'matmul', 'fused add']);
  });

  /** Returns the element types of each step; a step with a bfloat16 value writes half the bytes. */
  const typesGiven = (steps: readonly Step[]): string[][] =>
    steps.flatMap(({ nodes, program }) => (program ? [nodes.map(({ dtype }) => dtype)] : []));

  test('a number is narrowed where it is made, and widened where it is read', () => {
    const steps = fusedSteps(
      built(graph => {
        const narrow = (x: Node) => graph.cast(x, 'bfloat16');
        const [a, b] = [narrow(graph.feed('a', [16, 16])), narrow(graph.feed('b', [16, 16]))];
        const x = graph.cast(graph.matmul(a, b), 'float32');
        const e = graph.exp(x);
        const top = graph.max(e, [-1]);
        // Products separate the exponential, its narrow form, and the operation that reads its argument again.
        const y = graph.matmul(a, graph.matmul(b, a));
        return { top, y: graph.matmul(narrow(e), y), z: graph.square(graph.add(x, graph.feed('bias', [16]))) };
      }),
    );
    expect(shown(steps).filter(step => step !== 'matmul')).toEqual(['fused cast', 'fused cast', 'fused cast', 'fused max square']);
    expect(typesGiven(steps)).toEqual([['bfloat16'], ['bfloat16'], ['bfloat16'], ['float32', 'float32']]);
  });

  test('parts that are concatenated and then narrowed are narrowed before they are concatenated', () => {
    const steps = fusedSteps(
      built(graph => {
        const [a, b] = [graph.feed('a', [8, 8]), graph.feed('b', [8, 8])];
        return { y: graph.matmul(graph.cast(graph.concat([graph.exp(a), graph.neg(b)], 0), 'bfloat16'), graph.cast(a, 'bfloat16')) };
      }),
    );
    expect(typesGiven(steps)).toEqual([['bfloat16'], ['bfloat16']]);
  });

  /** A weight of 4-bit codes, times x. */
  const packed = (shape: [number, number], dtype: DType) =>
    built(graph => {
      const x = graph.cast(graph.feed('x', [4, shape[1]]), dtype);
      return { y: graph.matmul(x, graph.cast(readNf4(graph, 'w', shape), dtype), { transposeB: true }) };
    });

  test.each(['float32', 'bfloat16'] as const)('a weight of 4-bit codes is unpacked in one step: %s', dtype => {
    const signature = packed([64, 128], dtype);
    const steps = fusedSteps(signature);
    const unpacked = steps.filter(({ unpacking }) => unpacking);
    expect(unpacked.map(({ nodes }) => nodes.map(({ shape, dtype: given }) => `${given} ${shape}`))).toEqual([[`${dtype} 64,128`]]);
    expect(unpacked[0]?.reads.map(({ op, dtype: read, shape }) => `${op} ${read} ${shape}`)).toEqual([
      'read uint8 4096',
      'reshape float32 128,1',
    ]);
    expect(shown(steps).filter(op => op === 'gather')).toEqual([]);
    // Only the weight, the scales, the input and the product: no wide form of the codes.
    const bytes = dtype === 'bfloat16' ? 2 : 4;
    expect(liveness(signature, steps).peakBytes).toBeLessThan(bytes * 64 * 128 + 4 * 128 * 2 + 2 * 4 * 4 * 128);
    expect(printSignature('main', signature, { steps: () => steps })).toContain('in blocks of 64');
  });

  test('a weight whose last block is not full is unpacked before the rest is left out', () => {
    const steps = fusedSteps(packed([3, 7], 'float32'));
    expect(steps.flatMap(({ nodes, unpacking }) => (unpacking ? nodes.map(({ shape }) => shape) : []))).toEqual([[64]]);
    expect(shown(steps)).toEqual(['fused reshape', 'reshape', 'fused reshape', 'matmul']);
  });

  test('a table of other numbers is gathered', () => {
    const steps = fusedSteps(
      built(graph => {
        const codes = graph.cast(graph.read({ name: 'codes', shape: [64], dtype: 'uint8' }), 'int32');
        const table = graph.constant(
          Float32Array.from({ length: 512 }, (_, i) => i),
          [256, 2],
          'float32',
        );
        const scales = graph.read({ name: 'scales', shape: [2, 1], dtype: 'float32' });
        return { y: graph.exp(graph.mul(graph.reshape(graph.gather(table, codes), [2, 64]), scales)) };
      }),
    );
    expect(shown(steps)).toContain('gather');
    expect(steps.some(({ unpacking }) => unpacking)).toBe(false);
  });

  test('a variable is read before it is written, though the reading step would run later', () => {
    const graph = new Graph();
    const w = graph.read({ name: 'w', shape: [4], dtype: 'float32' });
    const before = graph.mul(w, 2);
    const effect = graph.assign('w', graph.exp(graph.feed('x', [4])));
    const y = graph.add(graph.sumAll(graph.matmul(graph.reshape(before, [2, 2]), graph.feed('m', [2, 2]))), before);
    const order = shown(fusedSteps(signatureOf({ graph, outputs: { y }, effects: [effect] })));
    expect(order.indexOf('fused mul')).toBeLessThan(order.indexOf('assign'));
  });

  test('an output that reads a variable is computed before its rows are updated', () => {
    const graph = new Graph();
    const w = graph.read({ name: 'w', shape: [64, 4], dtype: 'float32' });
    const x = graph.feed('x', [64, 4]);
    const before = graph.add(w, x);
    const flat = graph.reshape(w, [128, 2]);
    const effect = graph.updateRows('w', graph.constant(Int32Array.of(0), [1], 'int32'), graph.feed('v', [1, 4]));
    const steps = fusedSteps(signatureOf({ graph, outputs: { before, flat, y: graph.mul(x, 2) }, effects: [effect] }));
    const at = (node: Node) => steps.findIndex(({ nodes }) => nodes.includes(node));
    expect(Math.max(at(before), at(flat))).toBeLessThan(at(effect));
  });

  test('no step reuses memory that another of its outputs still reads', () => {
    for (const { program } of fusedSteps(built(movedNextTo(1024))))
      for (const [node, taken] of program?.takesOver ?? [])
        for (const load of program?.loads ?? [])
          if (taken.includes(load.node))
            expect(program?.stores.filter(store => store.node !== node).map(({ register }) => register)).not.toContain(load.register);
  });

  test("a row of a step is short enough for the kernel's 32-bit counts", () => {
    const [step] = fusedSteps(built(graph => ({ y: graph.neg(graph.feed('x', [65536, 65536])) }))).filter(({ program }) => program);
    expect(step?.program?.columns).toBeLessThan(2 ** 31);
  });

  const model = causalModel(eightBlocks);
  test.each(['none', 'cheap', 'block', 'sqrt'] as const)(
    'a training step takes no more memory fused, and half the steps: %s',
    recompute => {
      const settings = settingsOf({ targetModules: ['all-linear'] });
      const shape = { batch: 2, tokens: 64, targets: 126 };
      const params = { task: causalTask(model), attachment: attachFirst(model, 'spsft', settings), optimizer: adamw };
      const program = trainProgram({ ...params, maxGradNorm: 0, accumulationSteps: 1, recompute, trainShapes: [shape], evalShapes: [] });
      const signature = required(program.signatures[trainSignature(shape)], 'the training');
      const [single, fused] = [singleSteps(signature), fusedSteps(signature)];
      const [took, takes] = [liveness(signature, single).peakBytes, liveness(signature, fused).peakBytes];
      expect(takes).toBeLessThanOrEqual(1.01 * took);
      // Except without recomputation, the estimate may therefore use single steps, which are planned faster.
      expect(takes).toBeGreaterThan((recompute === 'none' ? 0.5 : 0.97) * took);
      expect(fused.length).toBeLessThan(0.6 * single.length);
      const made = new Set<Node>();
      for (const { nodes, reads } of fused) {
        for (const read of reads)
          if (read.op !== 'group') expect(made.has(read), `${read.op} ${read.id} is read before it is made`).toBe(true);
        for (const node of nodes) {
          expect(made.has(node)).toBe(false);
          made.add(node);
        }
      }
    },
  );
});
