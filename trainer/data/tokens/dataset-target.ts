/** The place of the samples of a data set while they are made. */
import type { DataReport } from '../shown/data-report.ts';
import { createExamples, type ExampleColumns, type Examples } from './example-store.ts';
import { memorySink } from './packed-tokens.ts';

export interface MadeDataset {
  readonly columns: ExampleColumns;
  readonly labels: readonly string[];
  readonly report: DataReport;
}

export interface OpenedDataset {
  /** In the order of the files. Each fits the longest length; a long document of format text is several. */
  readonly examples: Examples;
  /** By id; empty for other formats than text_label. */
  readonly labels: readonly string[];
  readonly report: DataReport;
}

export interface DatasetTarget {
  add(tokens: Int32Array): void;
  end(made: MadeDataset): Promise<OpenedDataset>;
  /** Removes what was written, after a failure. */
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
