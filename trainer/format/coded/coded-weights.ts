/** The forms of stored weights that `quant_method` names, and files whose weights are decoded while they are read. */
import { type CodedFormName, codedFormOf } from '../../catalog/coded-forms.ts';
import { type DecodedTensor, withDecoded } from '../decoded-weights.ts';
import { type ModelConfig, quantizationOf } from '../model-config.ts';
import { ModelFileError } from '../model-file-error.ts';
import type { TensorInfo } from '../tensor-source.ts';
import type { WeightFiles } from '../weight-files.ts';
import { autoRound } from './auto-round.ts';
import { awq } from './awq.ts';
import { bnb8 } from './bnb8.ts';
import type { CodedForm } from './coded-form.ts';
import { type CodedWeight, decoderOf } from './coded-weight.ts';
import { compressedTensors } from './compressed-tensors.ts';
import { fp8 } from './fp8.ts';
import { gptq } from './gptq.ts';
import { mlx } from './mlx.ts';
import { type ChangedTensor, mlxChanges } from './mlx-families.ts';
import { modelopt } from './modelopt.ts';
import type { Tensors } from './part-checks.ts';

const FORMS: Readonly<Record<CodedFormName, CodedForm>> = {
  'compressed-tensors': compressedTensors,
  ...{ gptq, awq, fp8, mxfp8: fp8, mlx, modelopt },
  bitsandbytes: bnb8,
  'auto-round': autoRound,
};

interface Coded {
  readonly weights: readonly CodedWeight[];
  /** Names of tensors that are no longer listed. */
  readonly hidden: ReadonlySet<string>;
}

/**
 * Finds coded weights by headers alone.
 * @throws ModelFileError that lists every weight whose parts do not fit each other
 */
function findCoded(tensors: Tensors, config: ModelConfig, path: string): Coded {
  const how = quantizationOf(config);
  const form = codedFormOf(how);
  if (!how || form === undefined) return { weights: [], hidden: new Set() };
  const { layers, others } = FORMS[form](tensors, how);
  const weights = layers.flatMap(({ weight }) => weight ?? []);
  const twice = weights.flatMap(({ info: { name }, codes }) =>
    name !== codes.name && tensors.has(name) ? [{ tensor: name, message: `is stored twice: ${codes.name} has its values, too` }] : [],
  );
  const problems = [...layers.flatMap(found => found.problems), ...twice];
  if (problems.length > 0)
    throw new ModelFileError(path, problems, 'Check the quantization_config of config.json, or download the file again.');
  return { weights, hidden: new Set([...weights.flatMap(({ parts }) => parts), ...others]) };
}

/** Returns the reader of a tensor of plain numbers. */
const changedReader = (files: WeightFiles, { info, minus = 0 }: ChangedTensor): DecodedTensor => ({
  info,
  read: async (begin, count) => (await files.readPart(info.name, begin, count)).map(value => value - minus),
});

/** Returns the tensors with plain ones in place of coded weights, and of those that MLX changes. @throws ModelFileError as {@link withCodedWeights} */
export function plainHeaders(tensors: Tensors, config: ModelConfig, path: string): Map<string, TensorInfo> {
  const { weights, hidden } = findCoded(tensors, config, path);
  const changed = mlxChanges(tensors, config, path);
  const plain = new Map([
    ...weights.map(({ codes, info }) => [codes.name, info] as const),
    ...changed.map(({ info }) => [info.name, info] as const),
  ]);
  return new Map(
    [...tensors.values()].flatMap(info => {
      const found = plain.get(info.name) ?? info;
      return hidden.has(info.name) ? [] : [[found.name, found]];
    }),
  );
}

/**
 * Returns the same files with decoded values in place of coded weights, and with Hugging Face's numbers in place of those that MLX changes.
 * @throws ModelFileError that lists every weight whose parts do not fit each other
 */
export function withCodedWeights(files: WeightFiles, config: ModelConfig, path: string): WeightFiles {
  const { weights, hidden } = findCoded(files.tensors, config, path);
  const changed = mlxChanges(files.tensors, config, path);
  if (weights.length === 0 && hidden.size === 0 && changed.length === 0) return files;
  const decoded = new Map([
    ...weights.map(weight => [weight.info.name, decoderOf(files, weight, path)] as const),
    ...changed.map(tensor => [tensor.info.name, changedReader(files, tensor)] as const),
  ]);
  const renamed = new Map(weights.map(({ codes, info }) => [codes.name, info.name]));
  return withDecoded(files, decoded, hidden, renamed);
}
