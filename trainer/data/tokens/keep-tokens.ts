/** Copies samples into memory that would otherwise be made each time they are read. */
import { ColumnBuilder } from './column-builder.ts';
import { createExamples, type Examples } from './example-store.ts';
import { memorySink } from './packed-tokens.ts';
import { MadeSamples } from './tokenize-records.ts';

/** Number of samples between two reports. */
const BATCH = 100;

/** @param onProgress receives the number of finished samples, and is awaited @throws errors of reading a sample */
export async function keepTokens(examples: Examples, onProgress: (done: number) => void | Promise<void>): Promise<Examples> {
  const sink = memorySink();
  const columns = new ColumnBuilder([]);
  for (let from = 0; from < examples.length; from += BATCH) {
    const some = Array.from({ length: Math.min(BATCH, examples.length - from) }, (_, i) => examples.at(from + i)).flatMap(one => one ?? []);
    const made = new MadeSamples();
    for (const [i, example] of some.entries()) made.add(i, example, example.label);
    const end = made.end();
    columns.add(
      some.map(({ file, line }) => ({ file, line, value: {} })),
      end,
    );
    sink.add(end.tokens);
    await onProgress(from + some.length);
  }
  const { tokens, ahead } = sink.end();
  return createExamples(columns.end(), tokens, ahead);
}
