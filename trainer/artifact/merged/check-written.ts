/** Compares the tensors of a merged folder with the merged weights, rounded in memory to the types of the file. */
import { mergedWeights } from '../../adapter/merge.ts';
import { rounded } from '../../format/decoded-weights.ts';
import type { TensorSource } from '../../format/tensor-source.ts';
import type { AnyModel } from '../../model/model-spec.ts';
import { heldTensors, withStacks } from '../../model/stored-form.ts';
import { withInitial } from '../../model/weight-stream.ts';
import { ExportError } from '../export-error.ts';
import { type MergedParams, namesInFolder } from './merged-folder.ts';

interface Written {
  /** The model that the folder describes. */
  readonly model: AnyModel;
  readonly weights: TensorSource;
}

/**
 * Reads every parameter as the folder's own model reads it. Each number must be the merged one, rounded once.
 * @throws ExportError with the name of the first tensor that is missing or differs
 */
export async function checkWritten(params: MergedParams, { model, weights }: Written): Promise<void> {
  const { adapter, folder } = params;
  const merged = mergedWeights(withInitial(params.model, folder.weights), adapter);
  const written = withStacks(model.parameters, weights);
  const specs = new Map(model.parameters.map(spec => [spec.name, spec]));
  const names = namesInFolder(params);
  for (const { name } of params.model.parameters) {
    const spec = specs.get(names.get(name) ?? name);
    if (spec === undefined || !written.tensors.has(spec.name))
      throw new ExportError(`the export has no ${name}: report this with the recipe`);
    const dtypes = new Set(heldTensors(spec, weights.tensors).names.map(own => weights.tensors.get(own)?.dtype));
    const [found, expected] = [await written.readFloat32(spec.name), await merged.readFloat32(name)];
    for (const dtype of dtypes) if (dtype === 'BF16' || dtype === 'F16') rounded(expected, dtype);
    const at = differenceAt(found, expected);
    if (at !== undefined)
      throw new ExportError(
        `${spec.name} has ${found[at]} at ${at} in the export, not ${expected[at]} as merged in memory: report this with the recipe`,
      );
  }
}

/** Returns the first place at which two tensors have different numbers. */
function differenceAt(found: Float32Array, expected: Float32Array): number | undefined {
  if (found.length !== expected.length) return Math.min(found.length, expected.length);
  const at = expected.findIndex((value, i) => !Object.is(value, found[i]) && value !== found[i]);
  return at < 0 ? undefined : at;
}
