/** What an export format brings: how what was trained is written, and how it is opened again to compare what it computes. */
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import type { AnyModel } from '../model/model-spec.ts';
import type { WorkerEvent } from '../protocol/job-messages.ts';
import type { Adapter } from './adapter/adapter.ts';
import type { TunedModel } from './smoke-test.ts';

/** What is exported. */
export interface Opened {
  readonly adapter: Adapter;
  readonly folder: ModelFolder;
  readonly model: AnyModel;
  readonly tokenizer: Tokenizer | undefined;
  /** Of the base's weights. */
  readonly fingerprint: string;
}

/** What the tensors of a GGUF base become, which are stored in blocks: float32 keeps every bit of what was tuned. */
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
  /** What trained numbers were rounded to. */
  readonly types: Iterable<string>;
}

export type Artifact = (opened: Opened, options: ArtifactOptions) => Form;
