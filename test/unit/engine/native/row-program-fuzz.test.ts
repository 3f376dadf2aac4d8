/** Tests damaged row programs: the native kernel refuses them, or runs them inside their tensors. Built with the address sanitizer. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';
import { encodeRowProgram } from '../../../../trainer/engine/tensorflow/fused.ts';
import { fusedSteps } from '../../../../trainer/graph/fusion/plan.ts';
import { Graph, type Node } from '../../../../trainer/graph/graph.ts';
import { byteSize } from '../../../../trainer/graph/types.ts';
import { createRandom } from '../../../../trainer/random.ts';
import { makeTemporaryFolder } from '../../../support/machine/temporary-folder.ts';
import { signatureOf } from '../../../support/numbers/signature-of.ts';

const FUSED = path.join(import.meta.dirname, '../../../../trainer/engine/tensorflow/native/fused');

/** Programs with reductions, windows, casts, moves, several outputs and constants. */
const BUILDS: readonly ((graph: Graph) => Record<string, Node>)[] = [
  graph => {
    const x = graph.feed('x', [6, 8]);
    return { y: graph.softmax(graph.mul(x, graph.feed('scale', [8]))), square: graph.sum(graph.square(x), [-1], true) };
  },
  graph => {
    const x = graph.feed('x', [2, 5, 24]);
    const heads = graph.transpose(graph.reshape(x, [2, 5, 3, 8]), [0, 2, 1, 3]);
    return {
      y: graph.cast(graph.pad(graph.select(graph.less(heads, 0), heads, graph.tanh(heads)), [0, 0, 1, 0], [0, 0, 2, 0]), 'bfloat16'),
    };
  },
];

interface Encoded {
  readonly words: Int32Array;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

function encoded(build: (graph: Graph) => Record<string, Node>): Encoded[] {
  const graph = new Graph();
  const signature = signatureOf({ graph, outputs: build(graph), effects: [] });
  return fusedSteps(signature).flatMap(({ program, nodes, reads }) =>
    program
      ? [
          {
            words: new Int32Array(encodeRowProgram(program, nodes, reads).buffer),
            inputs: reads.map(byteSize),
            outputs: nodes.map(byteSize),
          },
        ]
      : [],
  );
}

/** Replaces every word in turn, usually with a plausible number. */
function mutations({ words, ...sizes }: Encoded, seed: number): Encoded[] {
  const random = createRandom(seed);
  const integer = (below: number): number => Math.floor(random.uniform() * below);
  const values = (word: number): number[] => [-1, 0, word + 1, word - 1, word * 2, integer(64), 2 ** 31 - 1, -(2 ** 31), integer(2 ** 31)];
  const changed = [...words].flatMap((word, i) => values(word).map(value => Int32Array.from(words, (each, j) => (i === j ? value : each))));
  const cut = [...words].map((_, i) => words.slice(0, i));
  return [...changed, ...cut].map(each => ({ words: each, ...sizes }));
}

const flat = (programs: readonly Encoded[]): Int32Array =>
  Int32Array.from([
    programs.length,
    ...programs.flatMap(({ words, inputs, outputs }) => [words.length, inputs.length, outputs.length, ...inputs, ...outputs, ...words]),
  ]);

const compiler = spawnSync('g++', ['--version']).status === 0;

test.skipIf(!compiler)('no damaged program reaches outside its tensors', () => {
  const program = path.join(makeTemporaryFolder(), 'fuzz');
  const sources = ['row-program.cc', 'row-program-parse.cc'].map(file => path.join(FUSED, file));
  const flags = ['-std=c++17', '-O1', '-g0', '-fsanitize=address', '-pthread', '-I', FUSED, '-o', program];
  const built = spawnSync('g++', [...flags, path.join(import.meta.dirname, 'row-program-fuzz.cc'), ...sources], { encoding: 'utf8' });
  expect(built.stderr).toBe('');
  const whole = BUILDS.flatMap(encoded);
  expect(whole.length).toBeGreaterThan(1);
  const run = (programs: readonly Encoded[]) => {
    const { stdout, stderr, status } = spawnSync(program, { input: Buffer.from(flat(programs).buffer), encoding: 'utf8' });
    return { stdout, stderr: stderr.slice(0, 2000), status };
  };
  expect(run(whole)).toEqual({ stdout: `${whole.length} accepted, ${whole.length} run\n`, stderr: '', status: 0 });
  const { stdout, stderr, status } = run(whole.flatMap(mutations));
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  // Some mutations change nothing relevant (a constant, an offset within the tensor), so only some programs are refused.
  expect(stdout).toMatch(/^[1-9]\d+ accepted, [1-9]\d+ run\n$/);
});
