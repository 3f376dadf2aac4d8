/** Fills the variables of a program: the model's weights, the method's added tensors, the chosen rows, and zeros for the optimizer. */
import { namesOf } from '../catalog/entries.ts';
import type { Session, VariableData } from '../engine/engine.ts';
import { fromBfloat16, type HostArray } from '../graph/types.ts';
import type { WeightCoder } from '../graph/weight-coder.ts';
import type { Attachment, LoadedWeight } from '../method/method.ts';
import type { Model } from '../model/model-spec.ts';
import type { WeightSource } from '../model/weight-source.ts';
import { FLOAT32_STORAGE } from '../model/weight-storage.ts';
import { type StreamOptions, weightStream } from '../model/weight-stream.ts';
import { optimizerState } from './optimizer.ts';
import type { OptimizerSettings } from './optimizer-settings.ts';
import { chosenElements } from './trained-part.ts';
import { gradientVariable, updateGroups } from './update-group.ts';

export interface StartValues {
  /** Weights in float32, or as bfloat16 bits if the file has those. */
  readonly model: AsyncIterable<VariableData>;
  readonly attachment: Attachment;
  /** Undefined if nothing is trained. */
  readonly optimizer?: OptimizerSettings;
  /** True if gradients are summed over batches, starting from zero. */
  readonly accumulates?: boolean;
  /** Values that replace the method's initial values, by variable: those of a loaded adapter. */
  readonly start?: ReadonlyMap<string, HostArray>;
}

/** The parts in load order. */
export type LoadedPart = 'weights' | 'trained' | 'gradient' | 'optimizer';

/** The weights of a model as {@link loadVariables} takes them: in the type of their file. @param onBytes see `StreamOptions` */
export const storedWeights = (
  model: Model,
  file: WeightSource,
  { storage = FLOAT32_STORAGE }: Pick<Attachment, 'storage'>,
  onBytes?: StreamOptions['onBytes'],
): AsyncGenerator<VariableData> => weightStream(model, file, { storage, onBytes });

/** @param onPart called when the session holds a part; not for a part without variables */
export async function loadVariables(
  session: Pick<Session, 'load' | 'coder'>,
  values: StartValues,
  onPart: (part: LoadedPart) => void = () => undefined,
): Promise<void> {
  const parts: Readonly<Record<LoadedPart, AsyncIterable<VariableData> | Iterable<VariableData>>> = {
    weights: weightValues(values, session.coder),
    trained: trainedValues(values),
    gradient: gradientZeros(values),
    optimizer: optimizerZeros(values),
  };
  for (const part of namesOf(parts)) {
    const variables = parts[part];
    if (Array.isArray(variables) && variables.length === 0) continue;
    await session.load(variables);
    onPart(part);
  }
}

const startOf = ({ start }: StartValues, { name, data }: VariableData): VariableData => ({ name, data: start?.get(name) ?? data });

async function* weightValues(values: StartValues, coder: WeightCoder | undefined): AsyncGenerator<VariableData> {
  const { model, attachment } = values;
  const { storage = FLOAT32_STORAGE } = attachment;
  for await (const weight of model) {
    const wide = inFloat32(weight);
    // Computed before the engine gets the weight, which it may keep or free.
    const derived = [...(attachment.derived?.(wide) ?? [])];
    const held = attachment.taken?.restOf(wide) ?? weight;
    yield* storage.encode(held, coder);
    for (const value of derived) yield startOf(values, value);
  }
}

function* trainedValues(values: StartValues): Generator<VariableData> {
  const { attachment } = values;
  const given = new Set<string>();
  for (const value of attachment.initial()) {
    given.add(value.name);
    yield startOf(values, value);
  }
  // The float rows of a quantized weight were loaded with it, and its bias uses the same rows.
  for (const { variable, indices } of chosenElements(attachment.trainables))
    if (!given.has(variable.name)) yield { name: variable.name, data: indices };
}

function gradientZeros({ attachment, optimizer, accumulates }: StartValues): readonly VariableData[] {
  if (!accumulates || !optimizer) return [];
  return updateGroups(attachment.trainables, optimizer).map(group => zeros(gradientVariable(group)));
}

function optimizerZeros({ attachment, optimizer }: StartValues): readonly VariableData[] {
  if (!optimizer) return [];
  return updateGroups(attachment.trainables, optimizer).flatMap(group => optimizerState(optimizer, group).map(zeros));
}

const zeros = ({ name }: { readonly name: string }): VariableData => ({ name, data: 'zeros' });

/** A weight that is converted to float32 only on access: most weights derive nothing, and rows are picked from the bits. */
function inFloat32({ name, data }: VariableData): LoadedWeight {
  if (!(data instanceof Uint16Array)) return { name, data };
  let values: Float32Array | undefined;
  return {
    name,
    bits: data,
    get data() {
      values ??= fromBfloat16(data);
      return values;
    },
  };
}
