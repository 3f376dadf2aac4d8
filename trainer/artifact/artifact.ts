/** An export format: how it writes what was trained, and how it opens the result again to compare its logits. */

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
  /** Fingerprint of the base's weights. */
  readonly fingerprint: string;
}

export interface ArtifactOptions {
  /** One of the types that the catalog lists for the format; left out: as the base. */
  readonly type?: ExportType | undefined;
  /** The folder in which other programs are installed, if they are. */
  readonly cacheDir?: string;
  readonly onEvent?: (event: WorkerEvent) => void;
}

/** The result of running an export in another program. */
export type CrossCheck = TokenCheck | AnswerCheck;

interface Checked {
  /** The program, with its version. */
  readonly program: string;
  /** The largest difference of any of the compared logits. */
  readonly largestDifference: number;
  readonly tolerance: number;
}

/** The answers of a classifier or an encoder. */
interface AnswerCheck extends Checked {
  /** The compared inputs, as phrases: `3 texts of 33 tokens`. */
  readonly inputs: readonly string[];
}

/** The highest logits of a language model, token by token. */
export interface TokenCheck extends Checked {
  /** Tokens after which the next was compared with ours: a prompt and a greedy continuation. */
  readonly tokens: number;
  /** Those after which it is the same; after the others two logits are closer than the tolerance. */
  readonly sameTokens: number;
  /** Tokens of a mixture of experts that rounded activations sent to other experts: they are not counted in `largestDifference`. */
  readonly otherExperts?: number;
}

export interface ReopenedExport extends TunedModel {
  /** The weights by the names of the base, where the format has others. */
  readonly weightsOfBase?: WeightSource;
  readonly close: () => Promise<void>;
}

/** One export in one format. */
export interface Form {
  readonly bytes: number;
  readonly write: (dir: string) => Promise<unknown>;
  /** Opens what was written, as its user will. */
  readonly reopen: (dir: string) => Promise<ReopenedExport>;
  /** The types that trained numbers were rounded to. */
  readonly types: Iterable<string>;
  /**
   * True where all weights were rounded, not trained numbers alone. `reopen` has then compared every tensor, and the logits are compared with
   * those of the tuned model's graph on the rounded weights.
   */
  readonly isRounded?: boolean;
  /** A type that rounds trained numbers less; undefined where there is none. */
  readonly finer?: string;
  /** True where trained numbers were rounded to so few bits that rounding may undo a short training. */
  readonly isCoarse?: boolean;
  /**
   * Runs the export in another program. Returns the reason where that program is not installed.
   * @throws ExportError with the first token in which it differs
   */
  readonly crossCheck?: (dir: string, exported: ReopenedExport, engine: Engine) => Promise<CrossCheck | { readonly missing: string }>;
  /** Commands that use the result, by the program; run in the folder. */
  readonly commands?: Readonly<Record<string, string>>;
}

export type Artifact = (opened: Opened, options: ArtifactOptions) => Form | Promise<Form>;
