/** The variables of a run, which exist from the first step to the last, for any batch. */
import type { VariableSpec } from '../../graph/graph.ts';
import { byteSize, type TensorSpec } from '../../graph/types.ts';
import { FLOAT32_STORAGE, largestFirst } from '../../model/weight-storage.ts';
import { optimizerState } from '../../train/optimizer.ts';
import { offloadedVariables } from '../../train/optimizer-offload.ts';
import { chosenElements } from '../../train/trained-part.ts';
import { accumulates } from '../../train/training-params.ts';
import { gradientVariable, updateGroups } from '../../train/update-group.ts';
import type { RunPlan } from '../run-plan.ts';

export interface HeldVariables {
  readonly weights: readonly TensorSpec[];
  /**
   * Variables that a run adds to the model: factors, row indices, masters, copies of start values. Rows trained in place belong to the
   * weights.
   */
  readonly trained: readonly TensorSpec[];
  /** Gradients that outlive a batch. */
  readonly gradients: readonly TensorSpec[];
  readonly optimizer: readonly TensorSpec[];
  /** Optimizer state, masters and base weights that are stored elsewhere; the other lists exclude them. */
  readonly offloaded: readonly TensorSpec[];
}

type HeldPlan = Pick<RunPlan, 'model' | 'task' | 'attachment' | 'optimizer' | 'accumulationSteps' | 'on'>;

export function heldVariables(plan: HeldPlan): HeldVariables {
  const { model, attachment, optimizer } = plan;
  const { trainables, frozen = [], storage = FLOAT32_STORAGE, taken } = attachment;
  const weights = new Set(model.parameters.map(({ name }) => name));
  const added = trainables.filter(({ variable }) => !weights.has(variable.name)).map(({ variable }) => variable);
  const masters = trainables.flatMap(({ master }) => (master ? [master] : []));
  const places = chosenElements(trainables).map(({ variable }) => variable);
  const groups = updateGroups(trainables, optimizer);
  // If a CPU computes, host and device share the same memory.
  const onHost = plan.on.device === 'gpu' ? hostedVariables(plan) : [];
  const offloaded = [...offloadedVariables(attachment, optimizer), ...onHost];
  const elsewhere = new Set(offloaded.map(({ name }) => name));
  const isHere = ({ name }: VariableSpec): boolean => !elsewhere.has(name);
  return {
    weights: model.parameters.flatMap(spec => storage.variables(spec)).filter(isHere),
    trained: [...added, ...masters.filter(isHere), ...frozen, ...places, ...(taken?.kept ?? [])],
    gradients: accumulates(plan) ? groups.map(gradientVariable) : [],
    optimizer: groups.flatMap(group => optimizerState(optimizer, group)).filter(isHere),
    offloaded,
  };
}

const hostedVariables = ({
  model,
  attachment: { storage = FLOAT32_STORAGE, hosted },
}: Pick<HeldPlan, 'model' | 'attachment'>): VariableSpec[] =>
  model.parameters.flatMap(spec => storage.variables(spec)).filter(({ name }) => hosted?.has(name));

/** Returns the sizes of the same variables in bytes, in the order of `loadVariables`: variables that derive from a weight follow it. */
export function loadOrder(
  { model, attachment }: Pick<HeldPlan, 'model' | 'attachment'>,
  { trained, gradients, optimizer }: HeldVariables,
): number[] {
  const { trainables, storage = FLOAT32_STORAGE } = attachment;
  const ofWeight = new Map<string, VariableSpec[]>();
  for (const { name, variable, master } of trainables)
    for (const [weight, own] of master ? [[variable.name, master] as const] : name === variable.name ? [] : [[name, variable] as const])
      ofWeight.set(weight, [...(ofWeight.get(weight) ?? []), own]);
  const weights = largestFirst(model.parameters, storage).flatMap(spec => [...storage.variables(spec), ...(ofWeight.get(spec.name) ?? [])]);
  const loaded = new Set<TensorSpec>(weights);
  return [...weights, ...trained.filter(spec => !loaded.has(spec)), ...gradients, ...optimizer].map(byteSize);
}
