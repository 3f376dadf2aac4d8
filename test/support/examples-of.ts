/** Samples as a data set holds them, from samples that a test writes down. */
import { ColumnBuilder } from '../../trainer/data/tokens/column-builder.ts';
import { createExamples, type Examples, TARGET_BIT } from '../../trainer/data/tokens/example-store.ts';
import { memorySink } from '../../trainer/data/tokens/packed-tokens.ts';
import type { Example } from '../../trainer/data/types.ts';
import { countTargets } from '../../trainer/data/types.ts';

/** Neighbors of the same file, line and element are parts of one document. */
export function examplesOf(examples: readonly Example[]): Examples {
  const columns = new ColumnBuilder([]);
  const sink = memorySink();
  const name = ({ file, line, element }: Example): string => `${file}:${line}:${element}`;
  for (let from = 0; from < examples.length; ) {
    const first = examples[from] as Example;
    let to = from + 1;
    while (to < examples.length && name(examples[to] as Example) === name(first)) to++;
    const parts = examples.slice(from, to);
    const tokens = Int32Array.from(parts.flatMap(({ ids, train }) => Array.from(ids, (id, i) => (train[i] === 1 ? id | TARGET_BIT : id))));
    columns.add([{ ...first, value: {} }], {
      tokens,
      lengths: Int32Array.from(parts, ({ ids }) => ids.length),
      targets: Int32Array.from(parts, countTargets),
      records: new Int32Array(parts.length),
      labels: parts.map(({ label }) => label),
      largestId: Math.max(...parts.flatMap(({ ids }) => [...ids])),
      truncated: 0,
      dropped: {},
      notes: {},
      problems: [],
    });
    sink.add(tokens);
    from = to;
  }
  const { tokens, ahead } = sink.end();
  return createExamples(columns.end(), tokens, ahead);
}
