/** An export format: how it writes what was trained, and how it opens the result again to compare its logits. */
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import type { AnyModel } from '../model/model-spec.ts';
import type { WorkerEvent } from '../protocol/job-messages.ts';
import type { Adapter } from './adapter/adapter.ts';
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

/** The type that tensors of a GGUF base get, because blocks are not written: float32 keeps every bit of what was tuned. */
export type WeightType = 'float32' | 'bfloat16' | 'float16';

export interface ArtifactOptions {
  /** merged, on a GGUF base alone; left out: float32. */
  readonly ggufType?: WeightType;
  readonly onEvent?: (event: WorkerEvent) => void;
}

/** One export in one format. */
export interface Form {
  readonly bytes: number;
  readonly write: (dir: string) => Promise<unknown>;
  /** Opens what was written, as its user will. */
  readonly reopen: (dir: string) => Promise<TunedModel & { readonly close: () => Promise<void> }>;
  /** The types that trained numbers were rounded to. */
  readonly types: Iterable<string>;
}

export type Artifact = (opened: Opened, options: ArtifactOptions) => Form;
