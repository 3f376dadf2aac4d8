/** The state of the data page and how each message of the host changes it. Pure. */
import { capitalized, grouped } from '../../trainer/protocol/text/format.ts';
import {
  type DataStatistics,
  type DataToPage,
  drawnText,
  type SamplePage,
  type ShownSample,
  type ShownSequence,
  sequenceFacts,
} from '../../trainer/protocol/view/data.ts';

export interface DataState {
  readonly label: string;
  /** The samples shown; they stay while others are being read. */
  readonly page?: SamplePage;
  readonly isLoading: boolean;
  /** The reason why no samples are shown. */
  readonly problem?: string;
  readonly progress?: { readonly text: string; readonly share?: number };
  readonly statistics?: DataStatistics;
  /** The error that would stop training. */
  readonly failure?: string;
}

export const startData: DataState = { label: '', isLoading: true };

export function updateData(state: DataState, message: DataToPage): DataState {
  switch (message.type) {
    case 'view':
      return { ...state, label: message.label };
    case 'loading':
      return { ...state, isLoading: true };
    case 'samples':
      return { ...state, isLoading: false, page: message.page, problem: message.page.problem };
    case 'failed':
      return { ...state, isLoading: false, page: undefined, problem: message.message };
    case 'progress':
      return { ...state, progress: { text: message.text, share: message.share } };
    case 'statistics':
      // If the statistics cover only a drawn subset, reading all samples still continues.
      return {
        ...state,
        progress: message.statistics?.drawn ? state.progress : undefined,
        statistics: message.statistics,
        failure: message.failure,
      };
  }
}

/** "Samples 21 to 40", or a text for none. */
export function rangeText({ page, isLoading }: DataState): string {
  if (isLoading) return 'Reading samples …';
  if (!page || page.samples.length === 0) return 'No samples';
  return `Samples ${grouped(page.from + 1)} to ${grouped(page.from + page.samples.length)}`;
}

/** The name of the file, with the line if known. */
export function placeName({ file, line }: Pick<ShownSample, 'file' | 'line'>): string {
  const name = file.split(/[\\/]/).at(-1) ?? file;
  return line === undefined ? name : `${name}:${line}`;
}

export const sampleTitle = (sample: ShownSample): string => `${grouped(sample.index + 1)} · ${placeName(sample)}`;

/** @param isJudged true if the labels of the sample are learned, and no token of it */
export const sequenceTitle = (sequence: ShownSequence, isJudged: boolean): string =>
  capitalized(sequenceFacts(sequence, isJudged).join(' · '));

/** The sentence announced after a message. */
export function sentenceOf(message: DataToPage, state: DataState): string | undefined {
  if (message.type === 'samples') return message.page.problem ?? rangeText(state);
  if (message.type === 'failed') return message.message;
  if (message.type !== 'statistics') return undefined;
  const { statistics, failure } = message;
  return failure ?? (statistics?.drawn ? drawnText(statistics.drawn) : 'All samples were read.');
}
