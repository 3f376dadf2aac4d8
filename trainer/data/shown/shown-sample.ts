/** Samples that are prepared only when they are shown: the samples before a page are read but not tokenized. */
import type { ShownSample } from '../../protocol/view/data.ts';
import { DataError, DataProblems } from '../data-error.ts';
import type { DataRecord } from '../types.ts';
import { ofOne } from './data-report.ts';

export interface SampleToShow {
  /** Returns the sample, with its index among all. */
  readonly show: (index: number) => ShownSample | Promise<ShownSample>;
}

type Place = Pick<DataRecord, 'file' | 'element'> & { readonly line?: number | undefined };

export type ShownContent = Pick<ShownSample, 'sequences'> &
  Partial<Pick<ShownSample, 'reason' | 'labels' | 'notes' | 'picture' | 'images'>>;

/** Collects malformed samples, which are shown among the others and do not end reading. */
export class ShownProblems extends DataProblems {
  private readonly waiting: DataError[] = [];

  override add(error: DataError): void {
    this.waiting.push(error);
  }

  override end(): void {
    // Nothing to throw: the problems are shown as samples.
  }

  /** Returns the problems since the last call. */
  taken(): DataError[] {
    return this.waiting.splice(0);
  }
}

/** @param show returns the content of an item; a DataError that it throws makes the sample malformed, a reason drops it */
export async function* samplesToShow<Item>(
  items: AsyncIterable<Item>,
  problems: ShownProblems,
  { placeOf, show }: { readonly placeOf: (item: Item) => Place; readonly show: (item: Item) => ShownContent | Promise<ShownContent> },
): AsyncGenerator<SampleToShow> {
  const malformed = (): SampleToShow[] => problems.taken().map(error => ({ show: index => malformedSample(error, index) }));
  try {
    for await (const item of items) {
      yield* malformed();
      yield { show: index => shownItem({ ...placeOf(item), index }, () => show(item)) };
    }
  } catch (error) {
    // This is a file without a usable sample.
    const found = malformed();
    if (found.length === 0) throw error;
    yield* found;
    return;
  }
  yield* malformed();
}

async function shownItem(
  { file, line, element, index }: Place & { readonly index: number },
  show: () => ShownContent | Promise<ShownContent>,
): Promise<ShownSample> {
  const place = { index, file, ...(line !== undefined && { line }), ...(element !== undefined && { element }) };
  try {
    const { notes = [], reason, ...content } = await show();
    return { ...place, state: reason === undefined ? 'kept' : 'dropped', reason, notes: notes.map(ofOne), ...content };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { ...malformedSample(error, index), ...place };
  }
}

function malformedSample({ place: { file = '', line, key }, problem, advice }: DataError, index: number): ShownSample {
  const what = key === undefined ? problem : `key "${key}": ${problem}`;
  return { index, file, ...(line !== undefined && { line }), state: 'malformed', reason: `${what}. ${advice}.`, sequences: [], notes: [] };
}
