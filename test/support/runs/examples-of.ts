/** Converts samples written in a test to the form of a data set. */
import { ColumnBuilder } from '../../../trainer/data/tokens/column-builder.ts';
import { createExamples, type Examples } from '../../../trainer/data/tokens/example-store.ts';
import { memorySink } from '../../../trainer/data/tokens/packed-tokens.ts';
import { MadeSamples } from '../../../trainer/data/tokens/tokenize-records.ts';
import type { Example } from '../../../trainer/data/types.ts';
import { elementAt } from '../../../trainer/narrow.ts';

/** Neighbors with the same file, line and element are parts of one document. */
export function examplesOf(examples: readonly Example[]): Examples {
  const columns = new ColumnBuilder([]);
  const sink = memorySink();
  const name = ({ file, line, element }: Example): string => `${file}:${line}:${element}`;
  for (let from = 0; from < examples.length; ) {
    const first = elementAt(examples, from);
    let to = from + 1;
    while (to < examples.length && name(elementAt(examples, to)) === name(first)) to++;
    const parts = examples.slice(from, to);
    const made = new MadeSamples();
    for (const part of parts) made.add(0, part, part.label);
    const samples = made.end();
    columns.add([{ ...first, value: {} }], samples);
    sink.add(samples.tokens);
    from = to;
  }
  const { tokens, ahead } = sink.end();
  return createExamples(columns.end(), tokens, ahead);
}
