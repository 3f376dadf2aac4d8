/** The stability report as data and as a Markdown page. */
import type { Overlap } from './stability.ts';

export interface StabilityReport {
  readonly model: string;
  /** The measure that the recipe selects rows by. */
  readonly measure: string;
  /** Set if the counts below are those of columns. */
  readonly unit?: 'columns';
  /** Number of rows within the recipe's budget, and of all rows of the targeted modules. */
  readonly chosenRows: number;
  readonly rows: number;
  /** Number of samples in the half that rows are chosen by, and in the half that they are checked on. */
  readonly samples: readonly [number, number];
  /** The expected overlap of randomly drawn rows. */
  readonly chance: number;
  /** Overlap between the two halves of the samples, by measure. */
  readonly halves: readonly ({ readonly measure: string } & Overlap)[];
  /** Overlap between measures, on the first half. */
  readonly measures: { readonly names: readonly string[]; readonly overlaps: readonly (readonly number[])[] };
  readonly classes?: ClassReport;
  readonly ablation: AblationReport;
}

export interface ClassReport {
  readonly names: readonly string[];
  /** Number of samples of each class in the first half. */
  readonly samples: readonly number[];
  readonly overlaps: readonly (readonly number[])[];
  /** For each class, the share of its top rows that are in no other class's top rows. */
  readonly specificShares: readonly number[];
}

/** Mean loss of the second half's samples after rows or columns are set to zero. */
export interface AblationReport {
  /** The columns: classes, or 'all samples'. */
  readonly columns: readonly string[];
  readonly sets: readonly { readonly name: string; readonly rows: number; readonly losses: readonly number[] }[];
}

const show = (value: number): string => (Math.abs(value) >= 1000 ? value.toPrecision(4) : value.toFixed(3));
const cell = (text: string): string => text.replaceAll('|', '\\|');
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows].map(row => `| ${row.map(cell).join(' | ')} |`).join('\n');
const square = (names: readonly string[], values: readonly (readonly number[])[]): string =>
  table(
    ['', ...names],
    values.map((row, i) => [names[i] ?? '', ...row.map(show)]),
  );

const TITLE = '# Stability of the importance of ';

/** Keys of every report, which identify a file as one. */
export const REPORT_KEYS: readonly (keyof StabilityReport)[] = ['measure', 'chosenRows', 'chance', 'halves', 'ablation'];

export const isReportPage = (text: string): boolean => text.startsWith(TITLE);

export function reportMarkdown(report: StabilityReport): string {
  const { classes, ablation, halves, measures, samples, unit = 'rows' } = report;
  const parts = [
    `${TITLE}${report.model}`,
    `Measure of the recipe: ${report.measure}. ${report.chosenRows} of ${report.rows} ${unit} are chosen. They are chosen by ${samples[0]} samples and checked on ${samples[1]} others. Overlap is the Jaccard index of the chosen ${unit}, as a mean over modules; ${unit} drawn at random would have ${show(report.chance)}.`,
    '## Between halves of the data',
    table(
      ['measure', 'overlap', 'lowest', 'module'],
      halves.map(({ measure, mean, lowest, lowestModule }) => [measure, show(mean), show(lowest), lowestModule]),
    ),
    '## Between measures',
    square(measures.names, measures.overlaps),
    ...(classes
      ? [
          '## Between classes',
          square(classes.names, classes.overlaps),
          table(
            ['class', 'samples', 'class-specific share'],
            classes.names.map((name, i) => [name, String(classes.samples[i] ?? 0), show(classes.specificShares[i] ?? 0)]),
          ),
        ]
      : []),
    `## With ${unit} set to zero`,
    `Mean loss of the samples that ${unit} were not chosen by.`,
    table(
      [`${unit} set to zero`, unit, ...ablation.columns],
      ablation.sets.map(({ name, rows, losses }) => [name, String(rows), ...losses.map(show)]),
    ),
  ];
  return `${parts.join('\n\n')}\n`;
}
