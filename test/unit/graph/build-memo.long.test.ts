/** Tests that a plan of fused steps is the same, to the last word of each program, with and without the memo of equal blocks. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type MethodName, methodCatalog } from '../../../trainer/catalog/methods.ts';
import { encodeRowProgram } from '../../../trainer/engine/tensorflow/fused.ts';
import { BuildMemo } from '../../../trainer/graph/fusion/build-memo.ts';
import { planner } from '../../../trainer/graph/fusion/plan.ts';
import type { Step } from '../../../trainer/graph/fusion/step.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import type { RecomputePolicy } from '../../../trainer/graph/recompute.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import type { AnyModel } from '../../../trainer/model/model-spec.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import { headersOf } from '../../../trainer/plan/config-headers.ts';
import { heldVariables } from '../../../trainer/plan/memory/held-variables.ts';
import { planRun } from '../../../trainer/plan/run-plan.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { folderOfEachLayer } from '../../support/golden/verify-folder.ts';
import { signatureOf } from '../../support/numbers/signature-of.ts';
import { recipeIn } from '../../support/runs/recipe-of.ts';

const golden = join(import.meta.dirname, '..', '..', 'golden');
const all = readdirSync(golden).filter(name => existsSync(join(golden, name, 'config.json')));
/** Returns the class of a golden model; timm has its own key. */
const classOf = (name: string): string => {
  const { architectures, architecture } = readRecord(join(golden, name, 'config.json'));
  return String(architectures ?? architecture);
};
const firstOfClass = new Set(new Map(all.toReversed().map(name => [classOf(name), name])).values());
/** The first folder of each class, and those with a kind of layer of their own: planning without a memo is slow. */
const folders = all.filter(name => folderOfEachLayer.includes(name) || firstOfClass.has(name));

/** A memo that never finds anything. */
const forgetful = { build: (params: Parameters<BuildMemo['build']>[0]) => new BuildMemo().build(params) };

const written = (steps: readonly Step[]): string[] =>
  steps.map(({ nodes, reads, program }) => {
    const words = program ? Buffer.from(encodeRowProgram(program, nodes, reads)).toString('base64') : '';
    return `${nodes.map(({ id }) => id)} of ${reads.map(({ id }) => id)} ${words}`;
  });

interface Wanted {
  readonly method: MethodName;
  readonly dtype: string;
  readonly recompute: RecomputePolicy;
}

function taskOf(model: AnyModel): string {
  if (model.kind === 'causal') return 'causal_lm';
  if (model.problem === 'embedding') return 'embedding';
  return model.input.kind === 'image' ? 'image_classification' : 'sequence_classification';
}

/** The programs of a golden model, with three blocks if it states their number. */
function programOf(folder: string, { method, dtype, recompute }: Wanted) {
  const config = readRecord(join(golden, folder, 'config.json'));
  const short = config.num_hidden_layers && !config.layer_types && !config.mlp_layer_types ? { ...config, num_hidden_layers: 3 } : config;
  const model = loadModel(short);
  const task = taskOf(model);
  const rank = methodCatalog[method].lowRank !== 'none' || method === 'spsft' ? 'r: 2\n' : '';
  const text = `model: base\ntask: ${task}\ndata: {train: [train.jsonl]}\nmax_length: 24\nmethod: ${method}\ndtype: ${dtype}\n${rank}`;
  const recipe = recipeIn(text);
  const plan = planRun({ recipe, headers: headersOf(short), on: { engine: 'tensorflow', device: 'cpu' } });
  return { program: plan.program(recompute), held: heldVariables(plan) };
}

// Each folder with one of the methods, in turn.
const METHODS = ['spsft', 'lora', 'full'] as const;
test.each(folders.map((folder, i) => [folder, elementAt(METHODS, i % METHODS.length), i % 2 === 0 ? 'float32' : 'bfloat16'] as const))(
  '%s, %s, %s',
  (folder, method, dtype) => {
    const { program, held } = programOf(folder, { method, dtype, recompute: method === 'full' ? 'cheap' : 'none' });
    const [plan, replan] = [planner(), planner(forgetful)];
    for (const [name, signature] of Object.entries(program.signatures))
      expect(written(plan(signature)), name).toEqual(written(replan(signature)));
    expect(Object.values(held).reduce((sum, specs) => sum + specs.length, 0)).toBe(program.variables.length);
  },
);

test('numbers that differ in a program are told apart', () => {
  const plan = planner();
  const constantsOf = (build: (graph: Graph, x: Node) => Node): string[] => {
    const graph = new Graph();
    const traced = { graph, outputs: { y: build(graph, graph.feed('x', [4, 8])) }, effects: [] };
    return written(plan(signatureOf(traced)));
  };
  const variants = [
    (graph: Graph, x: Node) => graph.exp(graph.mul(x, 2)),
    (graph: Graph, x: Node) => graph.exp(graph.mul(x, 3)),
    (graph: Graph, x: Node) => graph.exp(graph.mul(x, -0)),
    (graph: Graph, x: Node) => graph.exp(graph.mul(x, 0)),
    (graph: Graph, x: Node) => graph.exp(graph.mul(x, x)),
    (graph: Graph, x: Node) => graph.exp(graph.pad(x, [1, 0], [0, 0], Number.NEGATIVE_INFINITY)),
    (graph: Graph, x: Node) => graph.exp(graph.pad(x, [1, 0], [0, 0], Number.NaN)),
  ];
  expect(new Set(variants.map(build => constantsOf(build).join('\n'))).size).toBe(variants.length);
});
