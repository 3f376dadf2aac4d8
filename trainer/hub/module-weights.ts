/** Weights that folders of sentence-transformers keep in separate files: those of the layers after the pooling. */
import { fingerprintTensors, type TensorInfo } from '../format/tensor-source.ts';
import type { WeightFiles } from '../format/weight-files.ts';
import type { DenseLayer } from '../protocol/pooling.ts';

/** A layer with its opened file. */
export interface ModuleFile {
  readonly module: DenseLayer;
  readonly files: WeightFiles;
}

/** The name of a layer's tensor among those of the model, for example `2_Dense.linear.weight`. */
const nameIn = ({ at }: DenseLayer, name: string): string => `${at}.${name}`;

/** True if a tensor of the folder belongs to a layer. */
export const isOfModule = (modules: readonly DenseLayer[], name: string): boolean => modules.some(({ at }) => name.startsWith(`${at}.`));

/** The files of a model, followed by the tensors of its layers. `shards` are still those of the model. */
export function withModuleWeights(files: WeightFiles, modules: readonly ModuleFile[]): WeightFiles {
  if (modules.length === 0) return files;
  const own = new Map<string, { readonly files: WeightFiles; readonly info: TensorInfo }>();
  for (const { module, files: layer } of modules)
    for (const info of layer.tensors.values()) own.set(nameIn(module, info.name), { files: layer, info });
  /** The file that holds a tensor, and the tensor's name there. */
  const at = (name: string): readonly [WeightFiles, string] => {
    const found = own.get(name);
    return found ? [found.files, found.info.name] : [files, name];
  };
  const all = [files, ...modules.map(layer => layer.files)];
  const tensors = new Map([...files.tensors, ...[...own].map(([name, { info }]) => [name, { ...info, name }] as const)]);
  const readBytes: WeightFiles['readBytes'] = (name, begin, count) => {
    const [source, there] = at(name);
    return source.readBytes(there, begin, count);
  };
  return {
    ...files,
    tensors,
    readBytes,
    readFloat32: (name, memory) => {
      const [source, there] = at(name);
      return source.readFloat32(there, memory);
    },
    readBfloat16: (name, memory) => {
      const [source, there] = at(name);
      return source.readBfloat16(there, memory);
    },
    readRaw: name => {
      const [source, there] = at(name);
      return source.readRaw(there);
    },
    readPart: (name, begin, count) => {
      const [source, there] = at(name);
      return source.readPart(there, begin, count);
    },
    verify: async () => (await Promise.all(all.map(each => each.verify()))).every(Boolean),
    fingerprint: () => fingerprintTensors(tensors.values(), ({ name }, start, end) => readBytes(name, start, end - start)),
    close: async () => void (await Promise.all(all.map(each => each.close()))),
  };
}
