/** Optimizer state outside the compute device's memory: in host memory next to a GPU, or on disk. */

import type { VariableSpec } from '../graph/graph.ts';
import type { Place } from '../graph/program.ts';
import { byteSize } from '../graph/types.ts';
import type { Attachment } from '../method/method.ts';
import { optimizerState } from './optimizer.ts';
import type { OptimizerSettings } from './optimizer-settings.ts';
import { isOffloaded, updateGroups } from './update-group.ts';

/** Minimum number of values: moving a smaller variable takes as much memory as the variable itself (six TensorFlow nodes). */
export const OFFLOAD_FROM = 2 ** 14;

/** Moments and float32 masters that are stored elsewhere. */
export function offloadedVariables({ trainables }: Pick<Attachment, 'trainables'>, settings: OptimizerSettings): VariableSpec[] {
  return updateGroups(trainables, settings)
    .filter(group => isOffloaded(settings, group))
    .flatMap(group => [...group.members.flatMap(({ master }) => (master ? [master] : [])), ...optimizerState(settings, group)]);
}

/** The places of optimizer state and of weights of the base, by variable name. */
export const offloadPlaces = (
  attachment: Pick<Attachment, 'trainables' | 'hosted'>,
  settings: OptimizerSettings,
): ReadonlyMap<string, Place> => {
  const { offload } = settings;
  const state = offload ? offloadedVariables(attachment, settings).map(({ name }) => [name, offload.to] as const) : [];
  return new Map<string, Place>([...state, ...(attachment.hosted ?? [])]);
};

/** The variables that are moved to where the update is computed, from disk or from host memory. */
export const movedVariables = (attachment: Pick<Attachment, 'trainables'>, settings: OptimizerSettings): VariableSpec[] =>
  settings.offload && (settings.offload.to === 'disk' || !settings.offload.fromGpu) ? offloadedVariables(attachment, settings) : [];

export const offloadedBytes = (attachment: Pick<Attachment, 'trainables'>, settings: OptimizerSettings): number =>
  offloadedVariables(attachment, settings).reduce((sum, spec) => sum + byteSize(spec), 0);
