/** The signatures that answer multiple-choice questions, independent of what the language model is tuned for. */
import type { Traced } from '../../graph/program.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import { type BatchShape, shapeName } from '../../train/task.ts';
import { traceEval } from '../../train/train-program.ts';
import type { TraceParams } from '../../train/training-params.ts';
import { causalTask } from './causal-task.ts';

/** Feeds: those of `causalTask`. Outputs `nll` of each target. */
export const choiceSignature = (shape: BatchShape): string => `choice/${shapeName(shape)}`;

/** One signature per batch shape, on the devices of `parts`; none for a model that does not predict next tokens. */
export function choiceTraces(
  model: AnyModel,
  attachment: TraceParams['attachment'],
  shapes: readonly BatchShape[],
  parts?: TraceParams['parts'],
): Record<string, Traced> {
  if (model.kind !== 'causal') return {};
  const task = causalTask(model);
  const traces: Record<string, Traced> = {};
  for (const shape of shapes) traces[choiceSignature(shape)] ??= traceEval({ task, attachment, parts }, shape);
  return traces;
}
