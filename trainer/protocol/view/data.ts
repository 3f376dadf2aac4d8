/** Samples as the model sees them and facts about all of them, for the command line and the data page; and the messages of that page. */

import { counted, grouped } from '../text/format.ts';

/** How the model uses a token: it reads it, learns to write it, or never sees it because the sample is too long. */
export const TOKEN_USES = ['context', 'trained', 'cut'] as const;
export type TokenUse = (typeof TOKEN_USES)[number];

export interface ShownToken {
  readonly text: string;
  /** Several where only together they are characters. */
  readonly ids: readonly number[];
  /** The label of the word that begins here. */
  readonly tag?: string;
}

/** Neighboring tokens that are used alike. */
export interface TokenRun {
  readonly use: TokenUse;
  /** How much its tokens count in the loss, where that is less than 1. */
  readonly weight?: number;
  readonly tokens: readonly ShownToken[];
}

/** An answer of a sample with two, or one that was judged by itself. */
export type ShownSide = 'chosen' | 'rejected' | 'desirable' | 'undesirable';

export interface ShownSequence {
  /** The answer of a pair. */
  readonly side?: ShownSide;
  /** Tokens that the model sees; the trained ones among them. */
  readonly length: number;
  readonly targets: number;
  /** Tokens cut off, as far as they were counted. */
  readonly cut: number;
  /** More are cut off than were counted. */
  readonly cutsMore?: true;
  readonly runs: readonly TokenRun[];
  /** Tokens of a long sequence that `runs` leaves out at its end. */
  readonly hidden: number;
}

export interface ShownSample {
  /** From 0, in the order in which training reads them. */
  readonly index: number;
  readonly file: string;
  /** From 1; a row of a Parquet file, an image of a file that holds many. */
  readonly line?: number;
  /** From 0: the place in a list of JSON. */
  readonly element?: number;
  /** `dropped`: training leaves it out. `malformed`: training stops at it. */
  readonly state: 'kept' | 'dropped' | 'malformed';
  /** Why it is dropped or malformed. */
  readonly reason?: string;
  /** One; two of a pair; several of a long document. */
  readonly sequences: readonly ShownSequence[];
  /** The target of a classifier. */
  readonly labels?: readonly string[];
  /** Remarks, such as a field that the chat template does not use. */
  readonly notes: readonly string[];
  /** The image as the model sees it. */
  readonly picture?: { readonly src: string; readonly width: number; readonly height: number };
}

export const DATA_PARTS = ['train', 'eval'] as const;
export type DataPart = (typeof DATA_PARTS)[number];

export interface DataColumn {
  readonly name: string;
  /** The beginning of the first sample's value. */
  readonly example: string;
}

/** Some samples of a part of the data, in order. */
export interface SamplePage {
  readonly part: DataPart;
  /** The parts that the recipe names. */
  readonly parts: readonly DataPart[];
  readonly from: number;
  readonly samples: readonly ShownSample[];
  /** There are more behind them. */
  readonly more: boolean;
  /** Columns of the first sample, named as in the file. */
  readonly columns: readonly DataColumn[];
  /** Names that the recipe can map columns to, and its mapping. */
  readonly roles: readonly string[];
  readonly mapping: Readonly<Record<string, string>>;
  /** The format that was detected or set, with the reason. */
  readonly format?: string;
  /** Why no sample can be read at all. */
  readonly problem?: string;
}

export interface SamplePlace {
  readonly file: string;
  readonly line?: number;
  /** It is held out. */
  readonly held?: boolean;
}

/** Samples with something in common that is worth a look. */
export interface Finding {
  readonly count: number;
  /** Some of them; those of a group belong together. */
  readonly groups: readonly (readonly SamplePlace[])[];
}

export interface BatchShape {
  readonly batch: number;
  readonly tokens: number;
  /** Batches of an epoch. */
  readonly batches: number;
  /** Samples in them. */
  readonly samples: number;
  /** Share of the tokens that only fill up. */
  readonly padding: number;
}

export interface PartStatistics {
  readonly part: 'train' | 'held';
  readonly samples: number;
  readonly tokens: number;
  readonly targets: number;
  readonly lengths: { readonly min: number; readonly median: number; readonly p90: number; readonly p99: number; readonly max: number };
  /** Samples of at least `from` and fewer than `to` tokens. */
  readonly histogram: readonly { readonly from: number; readonly to: number; readonly count: number }[];
  readonly shapes: readonly BatchShape[];
  readonly padding: number;
  readonly labels: readonly { readonly name: string; readonly count: number }[];
  /** Samples that are the same as an earlier one. */
  readonly duplicates: Finding;
  /** The same input with another answer or label. */
  readonly conflicts: Finding;
  /** Samples that train a single token or none: an answer that is empty but for its end. */
  readonly emptyAnswers: Finding;
}

/** Samples that stand for all. */
export interface DrawnSamples {
  readonly samples: number;
  readonly of: number;
}

export interface DataStatistics {
  /** Left out where they are about all samples. */
  readonly drawn?: DrawnSamples;
  readonly parts: readonly PartStatistics[];
  /** Held-out samples whose input is also trained on. */
  readonly leaks: Finding;
  /** The report of each part that was read, as the log of a run has it. */
  readonly reports: readonly string[];
  /** Samples beyond this number were not compared. */
  readonly comparedAtMost: number;
}

/** The result of the job. */
export interface DataResult {
  readonly page: SamplePage;
  /** Left out where they were not asked for, or the data can't be read. */
  readonly statistics?: DataStatistics;
  /** The error with which training would stop at this data. */
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
  /** The samples can't be shown. */
  | { readonly type: 'failed'; readonly message: string }
  /** All samples are being read, also after facts about some that were drawn; the share is that of the phase. */
  | { readonly type: 'progress'; readonly text: string; readonly share?: number }
  | { readonly type: 'statistics'; readonly statistics?: DataStatistics | undefined; readonly failure?: string | undefined };

/** Says how many samples the statistics are about, where they are not about all. */
export const drawnText = ({ samples, of }: DrawnSamples): string =>
  `These facts are about ${grouped(samples)} of ${counted(of, 'sample')}, drawn at random.`;

/** Samples of a page. */
export const PAGE_SAMPLES = 20;

/** A data file in a list; empty where there was no time to read it. */
export interface DataFileInfo {
  readonly bytes?: number;
  /** The layout of its samples, in words. */
  readonly format?: string;
  /** The beginning of the first one. */
  readonly sample?: string;
  /** The reason why it can't be read. */
  readonly problem?: string;
}
