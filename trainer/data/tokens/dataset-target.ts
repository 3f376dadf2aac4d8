/** A destination for the samples of a data set while they are made. */
import type { DataReport } from '../shown/data-report.ts';
import { createExamples, type ExampleColumns, type Examples } from './example-store.ts';
import { memorySink } from './packed-tokens.ts';

export interface MadeDataset {
  readonly columns: ExampleColumns;
  readonly labels: readonly string[];
  readonly report: DataReport;
}

export interface OpenedDataset {
  /** The examples, in the order of the files. Each fits the maximum length; a long document of format text becomes several examples. */
  readonly examples: Examples;
  /** Label names by id; empty for formats other than text_label. */
  readonly labels: readonly string[];
  readonly report: DataReport;
}

export interface DatasetTarget {
  add(tokens: Int32Array): void;
  end(made: MadeDataset): Promise<OpenedDataset>;
  /** Removes everything that was written, after a failure. */
  abandon(): void;
}

export function inMemory(): DatasetTarget {
  const sink = memorySink();
  return {
    add: tokens => sink.add(tokens),
    end: async ({ columns, labels, report }) => {
      const { tokens, ahead } = sink.end();
      return { examples: createExamples(columns, tokens, ahead), labels, report };
    },
    abandon: () => undefined,
  };
}
