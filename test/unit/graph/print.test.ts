/** Tests programs as text: the printed steps of a small graph, single and fused, are fixed. */
import { expect, test } from 'vitest';
import { FUSION_PASSES, passesThrough, planner } from '../../../trainer/graph/fusion/plan.ts';
import { singleSteps } from '../../../trainer/graph/fusion/step.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { printProgram } from '../../../trainer/graph/print.ts';
import { assemble } from '../../../trainer/graph/program.ts';

/** An RMS norm of x [2, 256] between two products, as in a block of a language model. */
function program() {
  const graph = new Graph();
  const x = graph.feed('x', [2, 256]);
  const weight = graph.read({ name: 'w', shape: [256, 256], dtype: 'float32' });
  const scale = graph.read({ name: 'scale', shape: [256], dtype: 'float32' });
  const hidden = graph.within({ block: 0 }, () => {
    const y = graph.matmul(x, weight);
    const mean = graph.mul(graph.sum(graph.square(y), [1], true), 1 / 256);
    return graph.mul(graph.mul(y, graph.rsqrt(graph.add(mean, 0.5))), scale);
  });
  return assemble({ forward: { graph, outputs: { y: graph.matmul(hidden, weight) }, effects: [] } });
}

test('every node with its operands, shape and block', () => {
  expect(printProgram(program(), { steps: singleSteps })).toMatchInlineSnapshot(`
    "variable w float32[256, 256]
    variable scale float32[256]
    signature forward: 14 steps, 0.001 GFLOP, 0.004 MiB at the peak
      %0 = feed(name=x, spec={"shape":[2,256],"dtype":"float32"}) float32[2, 256]
      %1 = read(variable=w, shape=[256 256], dtype=float32, version=0) float32[256, 256]
      %2 = read(variable=scale, shape=[256], dtype=float32, version=0) float32[256]
      %3 = matmul(%0, %1, transposeA=false, transposeB=false) float32[2, 256] # block 0
      %4 = square(%3) float32[2, 256] # block 0
      %5 = sum(%4, axes=[1], keepDims=true) float32[2, 1] # block 0
      %6 = constant(value=[0.00390625], shape=[], dtype=float32) float32[] # block 0
      %7 = mul(%5, %6) float32[2, 1] # block 0
      %8 = constant(value=[0.5], shape=[], dtype=float32) float32[] # block 0
      %9 = add(%7, %8) float32[2, 1] # block 0
      %10 = rsqrt(%9) float32[2, 1] # block 0
      %11 = mul(%3, %10) float32[2, 256] # block 0
      %12 = mul(%11, %2) float32[2, 256] # block 0
      %13 = matmul(%12, %1, transposeA=false, transposeB=false) float32[2, 256]
      return y = %13"
  `);
});

test('fused steps with their row programs, and the bytes alive at each', () => {
  expect(printProgram(program(), { steps: planner(), memory: true })).toMatchInlineSnapshot(`
    "variable w float32[256, 256]
    variable scale float32[256]
    signature forward: 6 steps (1 fused), 0.001 GFLOP, 0.004 MiB at the peak
         0.002   %0 = feed(name=x, spec={"shape":[2,256],"dtype":"float32"}) float32[2, 256]
         0.002   %1 = read(variable=w, shape=[256 256], dtype=float32, version=0) float32[256, 256]
         0.002   %2 = read(variable=scale, shape=[256], dtype=float32, version=0) float32[256]
         0.004*  %3 = matmul(%0, %1, transposeA=false, transposeB=false) float32[2, 256] # block 0
         0.002   %12 = fused(%3, %2) over 2 rows × 256 columns
                   %12 = mul(%11, %2) float32[2, 256] # block 0
                   | r3 = 0.00390625
                   | r5 = 0.5
                   | r0 = load %3[256·l0 + 1·c]
                   | r6 = load %2[0·l0 + 1·c]
                   | r1 = square r0
                   | r2 = sum r1
                   | r4 = mul r2 r3
                   | r2 = add r4 r5
                   | r4 = rsqrt r2
                   | r1 = mul r0 r4
                   | r7 = mul r1 r6
                   | store r7 to %12[256·l0 + 1·c]
         0.004   %13 = matmul(%12, %1, transposeA=false, transposeB=false) float32[2, 256]
      return y = %13"
  `);
});

/** A product in float32 whose value is needed in bfloat16 only after another product. */
function narrowing() {
  const graph = new Graph();
  const x = graph.feed('x', [4, 64]);
  const weight = graph.read({ name: 'w', shape: [64, 64], dtype: 'float32' });
  const wide = graph.matmul(x, weight);
  const other = graph.matmul(graph.tanh(wide), weight);
  const narrow = graph.cast(graph.reshape(wide, [2, 2, 64]), 'bfloat16');
  return assemble({
    forward: { graph, outputs: { y: graph.add(other, graph.reshape(graph.cast(narrow, 'float32'), [4, 64])) }, effects: [] },
  });
}

test('each pass of the fusion planner', () => {
  const shown = FUSION_PASSES.map(({ name }) => {
    const text = printProgram(narrowing(), { steps: planner(undefined, passesThrough(name)) });
    const steps = text.split('\n').filter(line => /^ {2}%/.test(line));
    return [name, ...steps.map(line => line.replace(/ (float32|bfloat16)\[.*$/, ''))].join('\n');
  });
  expect(shown.join('\n')).toMatchInlineSnapshot(`
    "narrow-early
      %0 = feed(name=x, spec={"shape":[4,64],"dtype":"float32"})
      %1 = read(variable=w, shape=[64 64], dtype=float32, version=0)
      %2 = matmul(%0, %1, transposeA=false, transposeB=false)
      %5 = reshape(%2, shape=[2 2 64])
      %6 = cast(%5, dtype=bfloat16)
      %3 = tanh(%2)
      %4 = matmul(%3, %1, transposeA=false, transposeB=false)
      %7 = cast(%6, dtype=float32)
      %8 = reshape(%7, shape=[4 64])
      %9 = add(%4, %8)
    fuse
      %0 = feed(name=x, spec={"shape":[4,64],"dtype":"float32"})
      %1 = read(variable=w, shape=[64 64], dtype=float32, version=0)
      %2 = matmul(%0, %1, transposeA=false, transposeB=false)
      %6 = fused(%2) over 1 rows × 256 columns
      %3 = fused(%2) over 1 rows × 256 columns
      %4 = matmul(%3, %1, transposeA=false, transposeB=false)
      %9 = fused(%4, %6) over 1 rows × 256 columns"
  `);
});
