/** How far a tuned language model has moved from its base on general text: the losses of both, and the divergence of their predictions. */
import { createBatchPlan } from '../../data/batch/batch-plan.ts';
import { BUCKETS, freeOrder } from '../../data/batch/batch-settings.ts';
import { type BatchSource, epochBatches, type TokenBatch, tokenSource } from '../../data/batch/batches.ts';
import type { TextTokenizer, TokenSequence } from '../../data/types.ts';
import type { Session } from '../../engine/engine.ts';
import { float32Of } from '../../graph/types.ts';
import type { Job } from '../../job/job.ts';
import { elementAt, required } from '../../narrow.ts';
import { evalSignature } from '../../train/train-program.ts';
import { PROBES } from './causal-task.ts';
import { generalText } from './general-text.ts';

export interface Forgetting {
  /** Mean NLL per token of general text under the base model, in nats. */
  readonly base: number;
  /** Mean NLL per token under the tuned model. */
  readonly tuned: number;
  /** Mean KL(base ‖ tuned) of the next token, in nats, at some of the positions. */
  readonly divergence: number;
  /** Number of tokens in the losses. */
  readonly targets: number;
  /** Number of positions in the divergence. */
  readonly positions: number;
}

/** The results of one model on general text. */
export interface GeneralReading {
  /** Σ NLL over the targets. */
  readonly nll: number;
  readonly targets: number;
  /** Logits at the probed positions, each [tokens of the vocabulary]. */
  readonly logits: readonly Float32Array[];
}

/** Tokens per passage; the rest is ignored. */
const LENGTH = 128;

export interface GeneralTextParams {
  readonly tokenizer: Pick<TextTokenizer, 'encode'>;
  readonly batchSize: number;
  readonly maxPositions: number;
  readonly padId: number;
}

export function generalTextSource({ tokenizer, batchSize, maxPositions, padId }: GeneralTextParams): BatchSource<TokenBatch> {
  const maxLength = Math.min(LENGTH, maxPositions);
  const sequences = generalText.map((text): TokenSequence => {
    const ids = Int32Array.from(tokenizer.encode(text, { addSpecialTokens: true }).slice(0, maxLength));
    return { ids, train: new Uint8Array(ids.length).fill(1, 1) };
  });
  const plan = createBatchPlan(sequences, { batchSize, maxLength, packing: false, ...freeOrder(0), ...BUCKETS });
  return tokenSource({ plan, sequences, padId, packed: false });
}

/** Runs the evaluation program of `causalTask(model, { probes: true })` over the source. @throws RunError 'stopped' */
export async function readGeneralText(session: Session, source: BatchSource<TokenBatch>, job: Job): Promise<GeneralReading> {
  const report = job.progress('evaluate', source.plan.batchesPerEpoch, 'batches');
  let [nll, targets, done] = [0, 0, 0];
  const logits: Float32Array[] = [];
  for await (const batch of epochBatches(source, 0)) {
    job.checkStop();
    const probes = probesOf(batch);
    const outputs = await session.run(evalSignature(batch.bucket), { ...batch.feeds(1), probePositions: probes });
    const losses = float32Of(required(outputs.nll, 'the losses of the batch'));
    for (let i = 0; i < batch.targetCount; i++) nll += losses[i] ?? Number.NaN;
    targets += batch.targetCount;
    const all = float32Of(required(outputs.probeLogits, 'the logits of the batch'));
    const size = all.length / probes.length;
    for (let i = 0; i < probes.length; i++) logits.push(all.slice(i * size, (i + 1) * size));
    report(++done);
  }
  return { nll, targets, logits };
}

/** Evenly spaced positions among the targets of a batch. */
function probesOf({ bucket, targetCount, targetPositions }: TokenBatch): Int32Array {
  const count = PROBES * bucket.batch;
  return Int32Array.from({ length: count }, (_, i) => targetPositions[Math.floor(((i + 0.5) * targetCount) / count)] ?? 0);
}

export function forgettingOf(base: GeneralReading, tuned: GeneralReading): Forgetting {
  const divergences = base.logits.map((logits, i) => divergence(logits, elementAt(tuned.logits, i)));
  return {
    base: base.nll / base.targets,
    tuned: tuned.nll / tuned.targets,
    divergence: divergences.reduce((sum, one) => sum + one, 0) / divergences.length,
    targets: base.targets,
    positions: divergences.length,
  };
}

/** KL(p ‖ q) = Σ p · (ln p − ln q) of the softmax of two vectors of logits, in nats. */
export function divergence(p: Float32Array, q: Float32Array): number {
  const [logP, logQ] = [logNormalizer(p), logNormalizer(q)];
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const log = (p[i] as number) - logP;
    const share = Math.exp(log);
    // A token with probability 0 under the base contributes nothing, even if its log-probability is −∞.
    if (share > 0) sum += share * (log - ((q[i] as number) - logQ));
  }
  return sum;
}

/** ln Σ exp of the logits. */
function logNormalizer(logits: Float32Array): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const logit of logits) most = Math.max(most, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return most + Math.log(sum);
}
