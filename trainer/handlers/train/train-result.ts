/** The result of a training. */
import type { Evaluation } from '../../job/evaluate.ts';
import type { MemorySplit } from '../../job/memory-meter.ts';
import type { Forgetting } from '../../objective/causal/forgetting.ts';
import { compact } from '../../protocol/text/format.ts';

/** The result of 'train' and 'resume'; also summary.json. */
export interface TrainResult {
  readonly state: 'finished' | 'stopped';
  readonly runDir: string;
  /** The best one with load_best_model_at_end, otherwise the last; null if nothing was saved. */
  readonly checkpoint: string | null;
  readonly steps: number;
  readonly totalSteps: number;
  /** Finished before its last update, by `early_stopping_patience`; absent in older summaries. */
  readonly stoppedEarly?: boolean;
  /** The training loss of the last metrics line; null if there is none yet. */
  readonly loss: number | null;
  /** Held-out results before the first update and at the end; null without held-out data, or if the run was stopped. */
  readonly before: Evaluation | null;
  readonly after: Evaluation | null;
  /** With eval_forgetting, at the end of a language model's training. */
  readonly forgetting?: Forgetting;
  readonly trainable: number;
  readonly trainableShare: number;
  /** Median over this process. */
  readonly secondsPerStep: number | null;
  /** In units of `throughputUnit`; summaries of older runs count tokens. */
  readonly tokensPerSecond: number;
  readonly throughputUnit?: 'tokens' | 'images';
  /** Whether the model can be written to GGUF; absent in older summaries. */
  readonly hasGgufName?: boolean;
  /** Bytes; null on a GPU, whose memory is not part of the process. */
  readonly memory: MemorySplit | null;
  readonly engine: string;
  readonly recompute: string;
}

/**
 * Returns a warning where training has made the model worse on held-out data. A loss that rises while more labels are right comes from
 * answers that are too sure, and is none.
 */
export function worsening(before: Evaluation | undefined, after: Evaluation | undefined): string | undefined {
  if (!before || !after || !(after.loss > before.loss)) return undefined;
  if (before.labels && after.labels && after.labels.accuracy > before.labels.accuracy) return undefined;
  return (
    `the held-out loss rose from ${compact(before.loss)} to ${compact(after.loss)}: ` +
    'lower learning_rate (rowtune find-lr suggests one), or train for fewer epochs'
  );
}
