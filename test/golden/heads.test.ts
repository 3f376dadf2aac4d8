/**
 * Tests the law of heads for every family with attention: changing a head of queries, keys or values changes what the attention output
 * reads in the columns of that head, or of the heads that share it, and nowhere else.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Graph } from '../../trainer/graph/graph.ts';
import { assemble } from '../../trainer/graph/program.ts';
import { float32Of, type HostArray } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { loadModel } from '../../trainer/model/load-model.ts';
import type { AnyModel } from '../../trainer/model/model-spec.ts';
import type { ModuleSpec } from '../../trainer/model/module-specs.ts';
import { Tracer } from '../../trainer/model/tracer.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { elementAt, lastOf, required } from '../../trainer/narrow.ts';
import { createRandom } from '../../trainer/random.ts';
import { openFast } from '../support/engines.ts';

const engine = await openFast();
const TOKENS = 5;

/** Families that normalize all queries, or all keys, together, so that a head affects the others. */
const NORMED_TOGETHER = ['olmo2', 'olmo3'];

/**
 * Layers whose heads have more rows than values: a key head includes the rows of everything that it and its value heads read. In latent
 * attention, values are narrower than queries and follow their keys. Queries and keys of OLMo Hybrid are narrower than values.
 */
const OF_OTHER_SIZES = /in_proj_(qkvz|ba)$|query_key_value$|_b_proj$|self_attn\.gate_proj$|linear_attn\.[qk]_proj$/;

const folders = [
  ...['llama', 'llama3_tied', 'qwen2', 'qwen3', 'qwen3_5', 'olmo_hybrid', 'qwen3_next', 'lfm2', 'lfm3', 'qwen3_moe', 'mixtral', 'gemma2', 'gemma3', 'gemma3n', 'nanochat', 'modernbert_decoder', 'gemma4', 'gemma4_untied', 'granite', 'granite4', 'glm4', 'exaone4', 'seed_oss', 'hunyuan', 'cohere2', 'ministral', 'olmo2', 'olmo3', 'phi3', 'gpt_oss', 'gpt_neox', 'gpt2', 'deepseek_v3'],
  ...['bert', 'distilbert', 'electra', 'albert', 'mpnet', 'nomic_bert', 'eurobert', 'ultrabert', 'gte', 'esm', 'modernbert', 'deberta', 'deberta_own_keys'],
  ...['vit', 'dinov2', 'dinov3', 'siglip', 'swin', 'timm_vit', 'timm_swin'],
];

function inputOf(graph: Graph, model: AnyModel, tracer: Tracer): void {
  const ids = () => graph.feed('ids', [1, TOKENS], 'int32');
  if (model.kind === 'causal') model.hidden(tracer, { ids: ids(), mask: { kind: 'causal' } });
  else if (model.input.kind === 'tokens') model.logits(tracer, { kind: 'tokens', ids: ids(), seen: graph.feed('seen', [1, TOKENS]) });
  else {
    const { height, width, channels } = model.input;
    model.logits(tracer, { kind: 'image', pixels: graph.feed('pixels', [1, height, width, channels]) });
  }
}

const feeds = (model: AnyModel): Record<string, HostArray> => {
  const ids = Int32Array.from({ length: TOKENS }, (_, i) => 3 + 2 * i);
  if (model.kind === 'causal') return { ids };
  if (model.input.kind === 'tokens') return { ids, seen: new Float32Array(TOKENS).fill(1) };
  const { height, width, channels } = model.input;
  return { pixels: Float32Array.from({ length: height * width * channels }, (_, i) => Math.sin(0.7 * i)) };
};

/** Returns ranges of rows of one kind: those of the module's sections, or of three kinds in one matrix. */
function partsOf({ weight, sections, head }: ModuleSpec, columns: number): { begin: number; rows: number }[] {
  const rows = elementAt(weight.shape, 0);
  let begin = 0;
  const hasThree = rows > columns && head && 'rows' in head && (rows / 3) % head.rows === 0;
  const sizes = sections?.map(section => section.rows) ?? (hasThree ? [rows / 3, rows / 3, rows / 3] : [rows]);
  return sizes.map(size => ({ begin: (begin += size) - size, rows: size }));
}

test.each(folders)('%s', async name => {
  const folder = await openModel(join(import.meta.dirname, name));
  const model = loadModel(folder.config, {});
  const output = required(
    model.modules.find(({ head }) => head && 'columns' in head),
    'a layer that reads heads',
  );
  const makers = model.modules.filter(({ head, layer }) => head && 'rows' in head && layer === output.layer);
  const graph = new Graph();
  const tracer = new Tracer({ graph });
  inputOf(graph, model, tracer);
  const x = elementAt(tracer.tapsOf(output), 0).x;
  const session = await engine.compile(assemble({ run: { graph, outputs: { x }, effects: [] } }));
  const weights = new Map<string, Float32Array>();
  for await (const { name: variable, data } of weightStream(model, folder.weights)) {
    if (!graph.variables.has(variable)) continue;
    weights.set(variable, float32Of(data));
    await session.load([{ name: variable, data }]);
  }
  const width = lastOf(x.shape);
  const run = async () => required((await session.run('run', feeds(model))).x, 'what the output reads');
  const before = Float32Array.from(await run());
  const size = output.head && 'columns' in output.head ? output.head.columns : 0;
  expect(makers.length).toBeGreaterThan(0);
  expect(width % size).toBe(0);

  for (const module of makers) {
    const rowsOfHead = module.head && 'rows' in module.head ? module.head.rows : 0;
    if (!OF_OTHER_SIZES.test(module.name)) expect(rowsOfHead).toBe(size);
    const own = required(weights.get(module.weight.name), module.weight.name);
    const inner = own.length / elementAt(module.weight.shape, 0);
    for (const [part, { begin, rows }] of partsOf(module, width).entries()) {
      const isValues = /v_proj|value|v_lin|\.v\b/.test(module.name) || part === 2;
      if (NORMED_TOGETHER.includes(name) && !isValues) continue;
      const heads = rows / rowsOfHead;
      const [head, shared] = [heads - 1, width / size / heads];
      const changed = Float32Array.from(own);
      const random = createRandom(1);
      const first = begin + head * rowsOfHead;
      for (let i = first * inner; i < (first + rowsOfHead) * inner; i++) changed[i] = 4 * random.uniform() - 2;
      await session.load([{ name: module.weight.name, data: changed }]);
      const after = await run();
      const columns = new Set([...after.keys()].filter(i => after[i] !== before[i]).map(i => i % width));
      const expected = Array.from({ length: shared * size }, (_, i) => head * shared * size + i);
      expect({ module: module.name, part, columns: [...columns].sort((a, b) => a - b) }).toEqual({ module: module.name, part, columns: expected });
      await session.load([{ name: module.weight.name, data: own }]);
    }
  }
  await session.dispose();
  await folder.weights.close();
});
