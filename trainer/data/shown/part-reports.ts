/** The reports on the parts of a recipe's data, each under the setting that names its files. */
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import type { DataPart, DrawnSamples } from '../../protocol/view/data.ts';
import { type DataReport, describeData } from './data-report.ts';

/** Maximum number of files or data sets of a part to name. */
const NAMED = 3;

export class PartReports {
  private readonly reports: { readonly part: DataPart; readonly report: DataReport }[] = [];
  private readonly data: Pick<Recipe['data'], DataPart>;

  /** @param recipe names files and data sets as its author wrote them */
  constructor({ data }: { readonly data: Pick<Recipe['data'], DataPart> }) {
    this.data = data;
  }

  readonly add = (report: DataReport, part: DataPart): void => void this.reports.push({ part, report });

  /** Returns each report as text: "data.train: train.jsonl", then its lines. */
  texts(): string[] {
    return this.reports.map(({ part, report }) => `data.${part}: ${namesText(this.data[part])}\n${describeData(report)}`);
  }

  /** Returns the number of samples that were read, and the number from which they were drawn. */
  drawn(): DrawnSamples {
    const sum = (of: (report: DataReport) => number): number => this.reports.reduce((total, { report }) => total + of(report), 0);
    return { samples: sum(({ read }) => read), of: sum(({ read, drawnFrom = read }) => drawnFrom) };
  }
}

function namesText(names: readonly string[]): string {
  const shown = names.slice(0, NAMED).join(', ');
  return names.length > NAMED ? `${shown} and ${names.length - NAMED} more` : shown;
}
