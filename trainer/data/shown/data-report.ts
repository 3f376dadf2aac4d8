/** Counts of the samples of a data set that were read, kept, dropped and cut, for the log and for checking before a run. */
import { counted, grouped } from '../../protocol/text/format.ts';
import { tokensText } from '../../protocol/view/data.ts';
import type { ExampleColumns } from '../tokens/example-store.ts';
import type { DataFormat, Example } from '../types.ts';
import { countTargets } from '../types.ts';

export interface LengthQuantiles {
  readonly min: number;
  readonly median: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export interface DataReport {
  readonly format: DataFormat | 'tags' | 'text groups';
  /** Why this format was chosen: the keys from which it was detected, or the recipe. */
  readonly formatReason: string;
  readonly files: number;
  /** Number of samples that were read: those in the files, or those drawn from them. */
  readonly read: number;
  /** Number of samples in the files, if fewer are drawn. */
  readonly drawnFrom?: number;
  /** Number of examples; a long document counts once for each of its parts. */
  readonly kept: number;
  /** Numbers of dropped samples, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Numbers of samples by remark, such as a field that the chat template does not use. */
  readonly notes?: Readonly<Record<string, number>>;
  /** Number of samples that were shortened to fit max_length. */
  readonly truncated: number;
  readonly tokens: number;
  /** Number of tokens that the loss counts. */
  readonly targets: number;
  /** Lengths of the examples in tokens. */
  readonly lengths: LengthQuantiles;
  /** How often each label occurs among the examples. With word tags: entities of each type, or words of each tag. */
  readonly labelCounts: Readonly<Record<string, number>>;
}

/** The counts that follow from the examples themselves. */
export function summarizeExamples(
  examples: readonly Example[],
): Pick<DataReport, 'kept' | 'tokens' | 'targets' | 'lengths' | 'labelCounts'> {
  const labelCounts: Record<string, number> = {};
  for (const { label } of examples) if (label !== undefined) labelCounts[label] = (labelCounts[label] ?? 0) + 1;
  const lengths = examples.map(({ ids }) => ids.length);
  return {
    kept: examples.length,
    tokens: lengths.reduce((sum, length) => sum + length, 0),
    targets: examples.reduce((sum, example) => sum + countTargets(example), 0),
    lengths: lengthQuantiles(lengths),
    labelCounts,
  };
}

/** The same counts from typed arrays. */
export function summarizeColumns({
  starts,
  targets,
  labels,
  labelNames,
}: ExampleColumns): Pick<DataReport, 'kept' | 'tokens' | 'targets' | 'lengths' | 'labelCounts'> {
  const counts = new Array<number>(labelNames.length).fill(0);
  for (const label of labels) if (label >= 0) counts[label] = (counts[label] ?? 0) + 1;
  const kept = targets.length;
  return {
    kept,
    tokens: starts[kept] ?? 0,
    targets: targets.reduce((sum, count) => sum + count, 0),
    lengths: lengthQuantiles(targets.map((_, sample) => (starts[sample + 1] as number) - (starts[sample] as number))),
    labelCounts: Object.fromEntries(labelNames.map((name, label) => [name, counts[label] ?? 0])),
  };
}

/** The report in a few lines of plain text. */
export function describeData(report: DataReport): string {
  const { format, formatReason, files, read, drawnFrom = read, kept, dropped, truncated, tokens, targets, lengths, labelCounts } = report;
  const lost = Object.entries(dropped).map(([reason, count]) => `${grouped(count)} ${reason.replaceAll('_', ' ')}`);
  const labels = Object.entries(labelCounts).map(([label, count]) => `${label} ${grouped(count)}`);
  return [
    `format ${format}: ${formatReason}`,
    `${drawnFrom > read ? `${grouped(read)} of ${counted(drawnFrom, 'sample')}, drawn at random,` : counted(read, 'sample')} from ${counted(files, 'file')}, ${grouped(kept)} kept${lost.length > 0 ? `, dropped: ${lost.join(', ')}` : ''}${truncated > 0 ? `, ${grouped(truncated)} cut to length` : ''}`,
    `${tokensText({ tokens, targets })}; lengths ${lengths.min} to ${lengths.max}, median ${lengths.median}, 90% up to ${lengths.p90}`,
    ...(labels.length > 0 ? [`labels: ${labels.join(', ')}`] : []),
    ...Object.entries(report.notes ?? {}).map(([note, count]) =>
      count === 1 ? `1 sample ${ofOne(note)}` : `${grouped(count)} samples ${note}`,
    ),
  ].join('\n');
}

/** A remark about several samples, reworded for one of them. */
export const ofOne = (note: string): string => note.replace(/^have\b/, 'has').replace(/^end\b/, 'ends');

export function lengthQuantiles(lengths: ArrayLike<number>): LengthQuantiles {
  const sorted = Float64Array.from(lengths).sort();
  const quantile = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { min: quantile(0), median: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), max: quantile(1) };
}
