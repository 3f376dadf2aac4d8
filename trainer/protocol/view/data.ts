/** Samples as the model sees them and statistics of all samples, for the command line and the data page; and the messages of that page. */

import { counted, grouped } from '../text/format.ts';

/** How the model uses a token: reads it, learns to write it, or never sees it because the sample is too long. */
export const TOKEN_USES = ['context', 'trained', 'cut'] as const;
export type TokenUse = (typeof TOKEN_USES)[number];

export interface ShownToken {
  readonly text: string;
  /** The token id; several ids if they form a character only together. */
  readonly ids: readonly number[];
  /** The label of the word that begins here. */
  readonly tag?: string;
}

/** Neighboring tokens with the same use. */
export interface TokenRun {
  readonly use: TokenUse;
  /** The weight of its tokens in the loss, if less than 1. */
  readonly weight?: number;
  readonly tokens: readonly ShownToken[];
}

/** The side of an answer in a pair, or its judgment. */
export type ShownSide = 'chosen' | 'rejected' | 'desirable' | 'undesirable';

/** The labels of compared and judged answers. */
export const SIDE_NAMES: Readonly<Record<ShownSide, string>> = {
  chosen: 'Better answer',
  rejected: 'Worse answer',
  desirable: 'Good answer',
  undesirable: 'Bad answer',
};

export interface ShownSequence {
  /** The side or judgment of the answer. */
  readonly side?: ShownSide;
  /** Number of tokens that the model sees; `targets` is the number of trained ones among them. */
  readonly length: number;
  readonly targets: number;
  /** Number of tokens cut off, as far as they were counted. */
  readonly cut: number;
  /** Present if more tokens are cut off than were counted. */
  readonly cutsMore?: true;
  readonly runs: readonly TokenRun[];
  /** Number of tokens at the end of a long sequence that are not in `runs`. */
  readonly hidden: number;
}

/** An image in the text of a sample. */
export interface ShownImage {
  /** The name of its file; that of its place if its bytes are in the data. */
  readonly name: string;
  /** In pixels. */
  readonly width: number;
  readonly height: number;
  /** A data URL of a small version; missing beyond the first images of a sample. */
  readonly thumbnail?: string;
}

export interface ShownSample {
  /** Index of the sample, from 0, in the order in which training reads them. */
  readonly index: number;
  readonly file: string;
  /** The line, from 1; the row of a Parquet file, or the number of an image in a file that holds several. */
  readonly line?: number;
  /** Index in a JSON list, from 0. */
  readonly element?: number;
  /** `dropped`: training skips it. `malformed`: training fails because of it. */
  readonly state: 'kept' | 'dropped' | 'malformed';
  /** The reason why it is dropped or malformed. */
  readonly reason?: string;
  /** One sequence; two for a pair; several for a long document. */
  readonly sequences: readonly ShownSequence[];
  /** The target of a classifier. */
  readonly labels?: readonly string[];
  /** Remarks, such as a field that the chat template does not use. */
  readonly notes: readonly string[];
  /** The images in its text. */
  readonly images?: readonly ShownImage[];
  /** The image as the model sees it. */
  readonly picture?: { readonly src: string; readonly width: number; readonly height: number };
}

export const DATA_PARTS = ['train', 'eval'] as const;
export type DataPart = (typeof DATA_PARTS)[number];

export interface DataColumn {
  readonly name: string;
  /** The beginning of the value in the first sample. */
  readonly example: string;
}

/** Some samples of a part of the data, in order. */
export interface SamplePage {
  readonly part: DataPart;
  /** The parts that the recipe names. */
  readonly parts: readonly DataPart[];
  readonly from: number;
  readonly samples: readonly ShownSample[];
  /** Whether more samples follow. */
  readonly more: boolean;
  /** The columns of the first sample, with the names in the file. */
  readonly columns: readonly DataColumn[];
  /** The names that the recipe can map columns to; `mapping` is its mapping. */
  readonly roles: readonly string[];
  readonly mapping: Readonly<Record<string, string>>;
  /** The detected or configured format, with the reason. */
  readonly format?: string;
  /** The reason why no sample can be read at all. */
  readonly problem?: string;
}

export interface SamplePlace {
  readonly file: string;
  readonly line?: number;
  /** Whether the sample is held out. */
  readonly held?: boolean;
}

/** Samples with a common property that deserves a look. */
export interface Finding {
  readonly count: number;
  /** Some of these samples; the samples of a group belong together. */
  readonly groups: readonly (readonly SamplePlace[])[];
}

export interface BatchShape {
  readonly batch: number;
  readonly tokens: number;
  /** Number of batches of this shape in an epoch. */
  readonly batches: number;
  /** Number of samples in these batches. */
  readonly samples: number;
  /** The share of tokens that are padding. */
  readonly padding: number;
}

export interface PartStatistics {
  readonly part: 'train' | 'held';
  readonly samples: number;
  readonly tokens: number;
  readonly targets: number;
  readonly lengths: { readonly min: number; readonly median: number; readonly p90: number; readonly p99: number; readonly max: number };
  /** Numbers of samples with at least `from` and fewer than `to` tokens. */
  readonly histogram: readonly { readonly from: number; readonly to: number; readonly count: number }[];
  readonly shapes: readonly BatchShape[];
  readonly padding: number;
  readonly labels: readonly { readonly name: string; readonly count: number }[];
  /** Samples that are the same as an earlier sample. */
  readonly duplicates: Finding;
  /** Samples with the same input as an earlier sample but another answer or label. */
  readonly conflicts: Finding;
  /** Samples that train at most one token: an answer that consists only of its end. Left out if samples have no answers. */
  readonly emptyAnswers?: Finding;
}

/** The random subset that the statistics are about. */
export interface DrawnSamples {
  readonly samples: number;
  readonly of: number;
}

export interface DataStatistics {
  /** Left out if the statistics are about all samples. */
  readonly drawn?: DrawnSamples;
  readonly parts: readonly PartStatistics[];
  /** Held-out samples whose input is also trained on. */
  readonly leaks: Finding;
  /** The report on each part that was read, as in the log of a run. */
  readonly reports: readonly string[];
  /** Samples beyond this number were not compared. */
  readonly comparedAtMost: number;
}

/** The result of the job. */
export interface DataResult {
  readonly page: SamplePage;
  /** Left out if they were not requested, or the data cannot be read. */
  readonly statistics?: DataStatistics;
  /** The error with which training would fail on this data. */
  readonly failure?: string;
}

export type DataFromPage =
  | { readonly type: 'ready' }
  /** Shows a page of samples. */
  | { readonly type: 'show'; readonly part: DataPart; readonly from: number }
  /** Reads everything again. */
  | { readonly type: 'refresh' }
  | { readonly type: 'open'; readonly file: string; readonly line?: number }
  /** Writes the mapping into the recipe and shows the samples again. */
  | { readonly type: 'map'; readonly columns: Readonly<Record<string, string>> };

export type DataToPage =
  | { readonly type: 'view'; readonly label: string }
  /** Samples are being read. */
  | { readonly type: 'loading' }
  | { readonly type: 'samples'; readonly page: SamplePage }
  /** The samples cannot be shown. */
  | { readonly type: 'failed'; readonly message: string }
  /** All samples are being read, possibly after statistics of a random subset were shown; `share` is the progress of the phase. */
  | { readonly type: 'progress'; readonly text: string; readonly share?: number }
  | { readonly type: 'statistics'; readonly statistics?: DataStatistics | undefined; readonly failure?: string | undefined };

/** A sentence that says how many samples the statistics are about, if not all. */
export const drawnText = ({ samples, of }: DrawnSamples): string =>
  `These facts are about ${grouped(samples)} of ${counted(of, 'sample')}, drawn at random.`;

/** True if the labels of a text are learned, and no token of it. */
export const isJudgedWhole = ({ labels, sequences }: Pick<ShownSample, 'labels' | 'sequences'>): boolean =>
  labels !== undefined && sequences.every(({ targets }) => targets === 0);

/**
 * Facts about a sequence: ["better answer", "12 tokens", "4 trained"].
 * @param isJudged true if the labels of the sample are learned, and no token of it
 */
export const sequenceFacts = ({ side, length, targets, cut, cutsMore }: ShownSequence, isJudged: boolean): string[] => [
  ...(side ? [SIDE_NAMES[side].toLowerCase()] : []),
  counted(length, 'token'),
  ...(isJudged ? [] : [`${grouped(targets)} trained`]),
  ...(cut > 0 ? [`${grouped(cut)}${cutsMore ? ' or more' : ''} cut off`] : []),
];

/** "1,200 tokens, 300 trained"; only the first part where the loss counts no tokens, but labels, numbers or vectors of whole texts. */
export const tokensText = ({ tokens, targets }: Pick<PartStatistics, 'tokens' | 'targets'>): string =>
  targets === 0 ? counted(tokens, 'token') : `${counted(tokens, 'token')}, ${grouped(targets)} trained`;

/** Number of samples per page. */
export const PAGE_SAMPLES = 20;

/** A data file in a list; only its name is known if there was no time to read it. */
export interface DataFileInfo {
  readonly bytes?: number;
  /** The layout of its samples, in words. */
  readonly format?: string;
  /** The beginning of the first sample. */
  readonly sample?: string;
  /** The reason why it cannot be read. */
  readonly problem?: string;
}
