/** The weights that both sides load: a model as a Hugging Face folder of float32 safetensors, written once. */

import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { encodeFloat32 } from '../trainer/format/float-format.ts';
import { SINGLE_FILE } from '../trainer/format/safetensors/safetensors-source.ts';
import { writeSafetensors } from '../trainer/format/safetensors/safetensors-writer.ts';
import { openModel } from '../trainer/hub/open-model.ts';
import { loadModel } from '../trainer/model/load-model.ts';
import type { AnyModel } from '../trainer/model/model-spec.ts';
import { tensorsNamed } from '../trainer/model/stored-form.ts';
import type { WeightSource } from '../trainer/model/weight-source.ts';
import { withInitial } from '../trainer/model/weight-stream.ts';
import { benchConfigs, benchModels, type ModelName } from './bench-models.ts';
import { randomWeights } from './random-weights.ts';

export interface FolderContents {
  readonly config: Readonly<Record<string, unknown>>;
  readonly weights: WeightSource;
  /** Returns the name in the file of a tensor of `weights`; by default, its own name. */
  readonly nameOf?: (name: string) => string;
}

/** Writes the config first and the weights last, in one operation: a folder with weights is complete. */
export async function writeFloat32Folder(dir: string, { config, weights, nameOf = name => name }: FolderContents): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFile(path.join(dir, 'config.json'), `${JSON.stringify({ ...config, torch_dtype: 'float32' }, null, 2)}\n`);
  const entries = [...weights.tensors].map(([name, { shape }]) => ({
    name: nameOf(name),
    dtype: 'F32' as const,
    shape,
    data: async () => encodeFloat32(await weights.readFloat32(name), 'F32'),
  }));
  await writeSafetensors(path.join(dir, SINGLE_FILE), entries, { format: 'pt' });
}

/** The weights as stored in files: one tensor per expert, where the model computes with one tensor for all. */
function asStored(model: AnyModel, weights: WeightSource): WeightSource {
  const stored = new Map(
    model.parameters.flatMap(spec => tensorsNamed(spec, () => true) ?? []).map(tensor => [tensor.name, tensor] as const),
  );
  if (stored.size === 0) return weights;
  const plain = model.parameters.filter(({ stack }) => !stack).map(spec => [spec.name, spec] as const);
  let last: { readonly name: string; readonly values: Promise<Float32Array> } | undefined;
  // Remember the last stack, because its experts are read one after the other and drawing it is slow.
  const remembered = (name: string): Promise<Float32Array> => {
    if (last?.name !== name) last = { name, values: weights.readFloat32(name) };
    return last.values;
  };
  return {
    tensors: new Map([...plain, ...stored]),
    readFloat32: name => stored.get(name)?.values(remembered) ?? weights.readFloat32(name),
  };
}

/** An arbitrary but fixed seed. */
const WEIGHT_SEED = 5;

/**
 * Returns the folder of a benchmark model, written on the first call.
 * @param source the real weights as a file or folder that our hub reader opens; undefined for random weights
 */
export async function benchFolder(
  name: ModelName,
  parent: string,
  source: string | undefined,
  log: (line: string) => void,
): Promise<string> {
  const dir = path.join(parent, `${name}-float32`);
  if (existsSync(path.join(dir, SINGLE_FILE))) return dir;
  log(`writing float32 weights of ${benchModels[name].title} into ${dir}`);
  if (source === undefined) {
    const config = benchConfigs[name];
    const model = loadModel(config);
    await writeFloat32Folder(dir, { config, weights: asStored(model, randomWeights(model, { seed: WEIGHT_SEED, gain: 1 })) });
    return dir;
  }
  const folder = await openModel(source);
  try {
    if (loadModel(folder.config).kind === 'causal') await writeFloat32Folder(dir, folder);
    else {
      // An encoder's new head is written with it, under the names of the whole model.
      const config = { ...folder.config, ...benchConfigs[name] };
      const { architectures: _, ...encoder } = config;
      const model = loadModel({ ...encoder, architectures: folder.config.architectures }, { headSeed: WEIGHT_SEED });
      const nameOf = (tensor: string): string => (tensor.startsWith('classifier') ? tensor : `bert.${tensor}`);
      const held = withInitial(model, folder.weights);
      const needed = new Map(model.parameters.map(parameter => [parameter.name, parameter]));
      await writeFloat32Folder(dir, { config, weights: { ...held, tensors: needed }, nameOf });
    }
  } finally {
    await folder.weights.close();
  }
  return dir;
}
