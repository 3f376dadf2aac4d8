/** Fills the variables of a program: the model's weights, what the method adds, the chosen rows, and zeros for the optimizer. */
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
  /** Weights in float32, or as bits of bfloat16 where a file has those. */
  readonly model: AsyncIterable<VariableData>;
  readonly attachment: Attachment;
  /** Left out where nothing is trained. */
  readonly optimizer?: OptimizerSettings;
  /** Gradients are summed over batches, from zero, for the optimizer. */
  readonly accumulates?: boolean;
  /** Values that stand in place of the method's own start, by variable: an adapter that is loaded. */
  readonly start?: ReadonlyMap<string, HostArray>;
}

/** In the order in which they are loaded. */
export type LoadedPart = 'weights' | 'trained' | 'gradient' | 'optimizer';

/** The weights of a model as {@link loadVariables} takes them: as their file has them. @param onBytes see `StreamOptions` */
export const storedWeights = (
  model: Model,
  file: WeightSource,
  { storage = FLOAT32_STORAGE }: Pick<Attachment, 'storage'>,
  onBytes?: StreamOptions['onBytes'],
): AsyncGenerator<VariableData> => weightStream(model, file, { storage, onBytes });

/** @param onPart is called when the session holds a part */
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
    await session.load(parts[part]);
    onPart(part);
  }
}

const startOf = ({ start }: StartValues, { name, data }: VariableData): VariableData => ({ name, data: start?.get(name) ?? data });

async function* weightValues(values: StartValues, coder: WeightCoder | undefined): AsyncGenerator<VariableData> {
  const { model, attachment } = values;
  const { storage = FLOAT32_STORAGE } = attachment;
  for await (const weight of model) {
    const wide = inFloat32(weight);
    // Taken before the engine is given the weight, which it may keep or let go.
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
  // The rows next to a quantized weight come with it, and its bias has the same.
  for (const { variable, indices } of chosenElements(attachment.trainables))
    if (!given.has(variable.name)) yield { name: variable.name, data: indices };
}

function* gradientZeros({ attachment, optimizer, accumulates }: StartValues): Generator<VariableData> {
  if (!accumulates || !optimizer) return;
  for (const group of updateGroups(attachment.trainables, optimizer)) yield { name: gradientVariable(group).name, data: 'zeros' };
}

function* optimizerZeros({ attachment, optimizer }: StartValues): Generator<VariableData> {
  if (!optimizer) return;
  for (const group of updateGroups(attachment.trainables, optimizer))
    for (const state of optimizerState(optimizer, group)) yield { name: state.name, data: 'zeros' };
}

/** Most weights derive nothing, and rows are picked from the bits, so all of them become numbers only when somebody looks. */
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
