/** The result of a training. */
import type { Evaluation } from '../../job/evaluate.ts';
import type { MemorySplit } from '../../job/memory-meter.ts';
import type { Forgetting } from '../../objective/causal/forgetting.ts';
import { compact } from '../../protocol/text/format.ts';

/** The result of 'train' and 'resume'; also the content of summary.json. */
export interface TrainResult {
  readonly state: 'finished' | 'stopped';
  readonly runDir: string;
  /** The best checkpoint with load_best_model_at_end, otherwise the last; null if nothing was saved. */
  readonly checkpoint: string | null;
  readonly steps: number;
  readonly totalSteps: number;
  /** Whether the run finished before its last update because of `early_stopping_patience`; missing in older summaries. */
  readonly stoppedEarly?: boolean;
  /** The training loss of the last metrics line; null if there is none yet. */
  readonly loss: number | null;
  /** Held-out results before the first update, and `after` at the end; null without held-out data, or if the run was stopped. */
  readonly before: Evaluation | null;
  readonly after: Evaluation | null;
  /** Present with eval_forgetting, at the end of a language model's training. */
  readonly forgetting?: Forgetting;
  readonly trainable: number;
  readonly trainableShare: number;
  /** The median over the updates of this process. */
  readonly secondsPerStep: number | null;
  /** Throughput per second in units of `throughputUnit`, the median over the same updates; summaries of older runs count tokens. */
  readonly tokensPerSecond: number;
  readonly throughputUnit?: 'tokens' | 'images';
  /** Whether the whole model can be written to GGUF; missing in older summaries. */
  readonly takesGguf?: boolean;
  /** Memory in bytes; null on a GPU, whose memory is not part of the process. */
  readonly memory: MemorySplit | null;
  readonly engine: string;
  readonly recompute: string;
}

/**
 * Returns a warning if training has made the model worse on held-out data. A rising loss with more correct labels comes from overconfident
 * answers and causes no warning, and neither does a rise that the shown digits hide.
 */
export function worsening(before: Evaluation | undefined, after: Evaluation | undefined): string | undefined {
  if (!before || !after || !(after.loss > before.loss)) return undefined;
  const [from, to] = [compact(before.loss), compact(after.loss)];
  if (from === to) return undefined;
  if (before.labels && after.labels && after.labels.accuracy > before.labels.accuracy) return undefined;
  return `the held-out loss rose from ${from} to ${to}: lower learning_rate (rowtune find-lr suggests one), or train for fewer epochs`;
}
