/** An export format: how to write the trained model, and how to open the result again to compare its logits. */

import type { Adapter } from '../adapter/adapter.ts';
import type { ExportType } from '../catalog/artifacts.ts';
import type { Engine } from '../engine/engine.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import type { AnyModel } from '../model/model-spec.ts';
import type { WeightSource } from '../model/weight-source.ts';
import type { WorkerEvent } from '../protocol/messages/job-messages.ts';
import type { TunedModel } from './smoke-test.ts';

/** A tuned model with everything that an export reads. */
export interface Opened {
  readonly adapter: Adapter;
  readonly folder: ModelFolder;
  readonly model: AnyModel;
  readonly tokenizer: Tokenizer | undefined;
  /** Fingerprint of the base weights. */
  readonly fingerprint: string;
}

export interface ArtifactOptions {
  /** One of the format's types in the catalog; if left out, the type of the base. */
  readonly type?: ExportType | undefined;
  /** The folder in which other programs are installed, if any are. */
  readonly cacheDir?: string;
  readonly onEvent?: (event: WorkerEvent) => void;
}

/** The result of running an export in another program. */
export type CrossCheck = TokenCheck | AnswerCheck;

interface Checked {
  /** The name and version of the program. */
  readonly program: string;
  /** The largest difference between compared logits. */
  readonly largestDifference: number;
  readonly tolerance: number;
}

/** The comparison of a classifier's or an encoder's outputs. */
interface AnswerCheck extends Checked {
  /** Descriptions of the compared inputs, such as `3 texts of 33 tokens`. */
  readonly inputs: readonly string[];
}

/** The comparison of a language model's highest logits, token by token. */
export interface TokenCheck extends Checked {
  /** Number of compared positions: a prompt and a greedy continuation. */
  readonly tokens: number;
  /** Number of positions with the same next token; at the others, two logits are closer than the tolerance. */
  readonly sameTokens: number;
  /** Number of tokens that were routed to other experts because activations were rounded; `largestDifference` ignores them. */
  readonly otherExperts?: number;
}

export interface ReopenedExport extends TunedModel {
  /** The weights under the names of the base, if the format uses others. */
  readonly weightsOfBase?: WeightSource;
  readonly close: () => Promise<void>;
}

/** One export in one format. */
export interface Form {
  readonly bytes: number;
  readonly write: (dir: string) => Promise<unknown>;
  /** Opens the written files as a user's program would. */
  readonly reopen: (dir: string) => Promise<ReopenedExport>;
  /**
   * True if weights were rounded. `reopen` has then compared every tensor with the merged one, and the logits are compared with those of the
   * tuned model's graph on the rounded weights.
   */
  readonly isRounded?: boolean;
  /** A type that rounds trained parameters less; undefined if there is none. */
  readonly finer?: string;
  /** True if trained parameters were rounded to so few bits that rounding may undo a short training. */
  readonly isCoarse?: boolean;
  /**
   * Runs the export in another program. Returns the reason if that program is not installed.
   * @throws ExportError with the first token for which it differs
   */
  readonly crossCheck?: (dir: string, exported: ReopenedExport, engine: Engine) => Promise<CrossCheck | { readonly missing: string }>;
  /** The library that loads the result, as the Hub names it, if it is not the one of the format and the task. */
  readonly library?: string;
  /** Commands that use the result, by program; they run in the folder. */
  readonly commands?: Readonly<Record<string, string>>;
}

export type Artifact = (opened: Opened, options: ArtifactOptions) => Form | Promise<Form>;
