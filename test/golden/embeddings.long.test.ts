/**
 * Compares embeddings with sentence-transformers: embeddings and losses within 1e-5, gradients within 1e-3 of their norm, training, and
 * retrieval.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type Pooling, poolingModes } from '../../trainer/protocol/pooling.ts';
import { required } from '../../trainer/narrow.ts';
import { askedQueries, retrievalMeasures, unit } from '../../trainer/objective/embedding/retrieval.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { readGoldenJson } from '../support/files/read-json.ts';
import { caseForm, computeCase, type Embeddings, expectCase, rowsForm, traceOf } from '../support/golden/embedding-cases.ts';
import { lossesForm } from '../support/golden/loss-trace.ts';

const golden = readGoldenJson(
  'embeddings.json',
  z.object({
    rate: z.number(),
    every: z.number(),
    rank: z.number(),
    alpha: z.number(),
    scores: z.array(z.number()),
    texts: z.array(rowsForm),
    cases: z.record(z.string(), caseForm.extend({ pooling: z.object({ mode: z.enum(poolingModes), normalize: z.boolean() }) })),
    trace: lossesForm,
    retrieval: z.object({ queries: rowsForm, documents: rowsForm, relevant: rowsForm, measures: z.record(z.string(), z.number()) }),
  }),
);

const bertOf = (pooling: Pooling): Embeddings => ({ dir: join(import.meta.dirname, 'bert'), pooling, texts: golden.texts, scores: golden.scores });

describeOn(await openOthers(), engine => {
  test.each(Object.entries(golden.cases))('%s', async (_, expected) => {
    expectCase(await computeCase(engine, bertOf(expected.pooling), expected), expected);
  });

  test.each(['pairs', 'symmetric', 'triplet', 'pairs_max'])('%s: padding rows change neither loss nor gradients', async name => {
    const expected = required(golden.cases[name], name);
    expectCase(await computeCase(engine, bertOf(expected.pooling), expected, 5), expected);
  });

  test.each([
    ['symmetric', 2, 3],
    ['pairs_max', 1, 3],
    ['triplet', 2, 5],
    ['matryoshka', 2, 5],
    ['cosine', 5, 5],
  ])('%s in mini-batches of %i samples, %i in a batch', async (name, miniBatch, batchSize) => {
    const expected = required(golden.cases[name], name);
    const settings = { ...expected.settings, mini_batch_size: miniBatch };
    expectCase(await computeCase(engine, bertOf(expected.pooling), { ...expected, settings }, batchSize), expected);
  });

  test.each([
    ['full', undefined],
    ['spsft', undefined],
    ['lora', undefined],
    ['full', 2],
    ['spsft', 2],
    ['lora', 1],
  ] as const)('four steps of %s, mini-batches: %s', async (method, miniBatch) => {
    const found = await traceOf(engine, bertOf({ mode: 'mean', normalize: true }), { ...golden, method, miniBatch });
    found.forEach((loss, i) => expect(loss, `loss ${i}`).toBeCloseTo(golden.trace[method][i] as number, 4));
  });
});

test('the number of queries is bounded by the work; they are spread evenly and compared with all documents', () => {
  expect(askedQueries(5000, 384 * 5000)).toHaveLength(5000);
  const asked = askedQueries(20_000, 384 * 20_000);
  expect([asked.length, asked[0], asked[1]]).toEqual([1302, 0, 15]);
  expect(asked.at(-1)).toBeGreaterThan(19_980);
  expect(askedQueries(1000, 1e12)).toHaveLength(100);
});

test('retrieval is measured as InformationRetrievalEvaluator does', () => {
  const { queries, documents, relevant, measures } = golden.retrieval;
  const units = (rows: readonly (readonly number[])[]): Float32Array[] => rows.map(row => unit(Float32Array.from(row)));
  const found = retrievalMeasures({ queries: units(queries), documents: units(documents), relevant: relevant.map(places => new Set(places)) });
  for (const [name, value] of Object.entries(measures)) expect(found[name], name).toBeCloseTo(value, 10);
});
