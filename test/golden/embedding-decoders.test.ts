/**
 * Compares decoders as embedding models with sentence-transformers: embeddings and loss within 1e-5, gradients within 1e-3 of their norm,
 * training.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { readSentenceModules } from '../../trainer/format/sentence-modules.ts';
import { required } from '../../trainer/narrow.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { readGoldenJson } from '../support/files/read-json.ts';
import { caseForm, computeCase, type Embeddings, expectCase, rowsForm, traceOf } from '../support/golden/embedding-cases.ts';
import { lossesForm } from '../support/golden/loss-trace.ts';

const golden = readGoldenJson(
  'embedding_decoders.json',
  z.object({
    rate: z.number(),
    rank: z.number(),
    alpha: z.number(),
    texts: z.array(rowsForm),
    folders: z.record(z.string(), caseForm.extend({ trace: lossesForm.omit({ spsft: true }) })),
  }),
);

async function embeddingsOf(name: string): Promise<Embeddings> {
  const dir = join(import.meta.dirname, name);
  return { dir, pooling: required(await readSentenceModules(dir), 'modules.json'), texts: golden.texts };
}

describeOn(await openOthers(), engine => {
  test.each(Object.entries(golden.folders))('%s', async (name, expected) => {
    expectCase(await computeCase(engine, await embeddingsOf(name), expected), expected);
  });

  test.each(
    Object.entries(golden.folders).flatMap(([name, { trace }]) => (['full', 'lora'] as const).map(method => [name, method, trace[method]] as const)),
  )('four steps of %s by %s', async (name, method, losses) => {
    const found = await traceOf(engine, await embeddingsOf(name), { ...golden, every: 1, method });
    found.forEach((loss, i) => expect(loss, `loss ${i}`).toBeCloseTo(required(losses?.[i], 'the loss'), 4));
  });
});
