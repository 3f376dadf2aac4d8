/** The export `gguf`: one file for Ollama, llama.cpp and LM Studio. */

import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isTuned, mergedWeights } from '../../adapter/merge.ts';
import type { GgufExportType } from '../../catalog/artifacts.ts';
import { ggufTypeNames } from '../../catalog/artifacts.ts';
import { isOneOf } from '../../catalog/entries.ts';
import { writeTextFile } from '../../files/durable-file.ts';
import { ggufFamiliesOf } from '../../format/gguf/families/gguf-families.ts';
import type { GgufFamily } from '../../format/gguf/families/gguf-family.ts';
import { layoutOf, withoutMultiplier } from '../../format/gguf/gguf-layout.ts';
import { ggufName } from '../../format/gguf/gguf-names.ts';
import { writeGguf } from '../../format/gguf/gguf-writer.ts';
import type { TensorSource } from '../../format/tensor-source.ts';
import { elementCount } from '../../graph/types.ts';
import { type ModelFolder, openModel } from '../../hub/open-model.ts';
import { nameInDecoder } from '../../model/family/decoder/blocks/names.ts';
import { architectureOf, causalModel } from '../../model/load-model.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import type { ParameterSpec } from '../../model/module-specs.ts';
import { heldTensors } from '../../model/stored-form.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import { withInitial } from '../../model/weight-stream.ts';
import type { Artifact, Opened, ReopenedExport } from '../artifact.ts';
import { ExportError } from '../export-error.ts';
import { smokeIds } from '../smoke-test.ts';
import { describeFolder, type GgufPlan, ggufDataBytes, planGguf } from './gguf-file.ts';
import { numbersOf } from './gguf-tensors.ts';
import { compareWithLlamaCpp } from './llama-check.ts';
import type { DescribedModel } from './metadata.ts';
import { checkMmproj, planMmproj } from './mmproj-file.ts';
import { MODELFILE, modelfile, ollamaName } from './modelfile.ts';
import { patchGguf } from './patch-gguf.ts';
import { ggufTypeNamed, isCoarse, precisionOf, RAISED } from './quantization.ts';
import { errorOf, largestError } from './rounding.ts';

export const artifact: Artifact = async (opened, { type: given = 'auto', cacheDir, onEvent }) => {
  const { folder, model } = opened;
  if (model.kind !== 'causal')
    throw new ExportError(`a ${model.family} that classifies is not written to GGUF, whose programs generate text: export it as merged`);
  if (!isOneOf(ggufTypeNames, given))
    throw new ExportError(`${given} is not a type of a GGUF file; these are: ${ggufTypeNames.join(', ')}`);
  const coarse = coarseTypes(opened, model);
  const raised = given === 'auto' ? coarse : [];
  const wanted = given === 'auto' && raised.length === 0 ? 'base' : given;
  if (raised.length > 0)
    onEvent?.({
      type: 'log',
      level: 'info',
      message: `Trained tensors are written as ${RAISED}: the ${raised.join(' and ')} of the base would round small changes away. Tensors without training keep their type; --type base keeps all types.`,
    });
  const stem = stemOf(folder.source, wanted);
  const file = `${stem}.gguf`;
  const onTensor = (done: number, total: number): void => onEvent?.({ type: 'progress', phase: 'export', done, total, unit: 'tensors' });
  const onWarning = (message: string): void => onEvent?.({ type: 'log', level: 'warning', message });
  // The type is that of the base, so only blocks with trained parameters change.
  const patched = wanted === 'base' && !tunesMetadata(opened, model) ? folder.ggufPath : undefined;
  const plan =
    patched === undefined
      ? { ...(await planGguf({ opened, model, type: wanted, name: stem, onTensor, onWarning })), patches: undefined }
      : { patches: patched };
  const encoder = await encoderFile(opened, model, onWarning);
  const bytes =
    (plan.patches === undefined ? ggufDataBytes(plan) : (await stat(plan.patches)).size) + (encoder ? ggufDataBytes(encoder) : 0);
  return {
    bytes,
    write: async dir => {
      if (plan.patches === undefined) await writeGguf(join(dir, file), plan.metadata, plan.tensors);
      else await patchGguf({ opened, model, from: plan.patches, to: join(dir, file), onTensor });
      if (encoder) await writeGguf(join(dir, encoder.file), encoder.metadata, encoder.tensors);
      const { tokenizer } = opened;
      const { generationConfig } = folder;
      const files = { file, ...(encoder && { encoder: encoder.file }) };
      if (tokenizer)
        await writeTextFile(join(dir, MODELFILE), modelfile({ ...files, tokenizer, generationConfig, maxPositions: model.maxPositions }));
    },
    reopen: async dir => {
      if (encoder) await checkMmproj(join(dir, encoder.file), encoder);
      return reopen(join(dir, file), opened, model);
    },
    isRounded: true,
    ...precisionOf(wanted, coarse.length > 0, folder.ggufPath !== undefined),
    commands: commandsFor(file, ollamaName(stem), encoder?.file),
    crossCheck: (dir, exported, engine) => compareWithLlamaCpp({ path: join(dir, file), exported, engine, cacheDir }),
  };
};

/** Commands from the programs' own documentation; each takes the file as it is. */
const commandsFor = (file: string, name: string, encoder: string | undefined): Readonly<Record<string, string>> => ({
  Ollama: `ollama create ${name} -f ${MODELFILE} && ollama run ${name}`,
  'llama.cpp': encoder === undefined ? `llama-cli -m ${file} -cnv` : `llama-mtmd-cli -m ${file} --mmproj ${encoder}`,
  // Both files have to be in one folder of LM Studio.
  'LM Studio':
    encoder === undefined
      ? `lms import ${file}`
      : [file, encoder].map(each => `lms import ${each} --user-repo rowtune/${name}`).join(' && '),
});

/** The file of the encoder of images; undefined for a model without one, and for one that llama.cpp does not compute, with a warning. */
async function encoderFile(
  { folder }: Opened,
  model: CausalModel,
  onWarning: (message: string) => void,
): Promise<(GgufPlan & { readonly file: string }) | undefined> {
  if (model.remark === undefined && model.vision === undefined) return undefined;
  const name = baseName(folder.source);
  const plan = await planMmproj(folder, model, name);
  if (!('reason' in plan)) return { ...plan, file: `mmproj-${name}.gguf` };
  onWarning(`the file holds the text part of the model alone: ${plan.reason}. llama.cpp reads images with the mmproj file of its base`);
  return undefined;
}

const baseName = (source: string): string => basename(source).replace(/\.gguf$/i, '') || 'model';

/** The stem of the file name: the name of the base without its type, the change, and the requested type. */
function stemOf(source: string, type: GgufExportType): string {
  const name = baseName(source);
  if (type === 'base') return `${name}-tuned`;
  return `${name.replace(/[-.](?:F32|F16|BF16|I?Q\d\w*)$/i, '')}-tuned${type === 'auto' ? '' : `-${type}`}`;
}

/** True if training changed numbers that a GGUF base has in its metadata. */
function tunesMetadata({ folder, adapter }: Opened, model: CausalModel): boolean {
  const [family = none] = ggufFamiliesOf(architectureOf(folder.config) ?? '');
  return numbersOf(model, family).some(({ names }) => names.some(name => isTuned(adapter, name)));
}

/** The low-bit types in which the base stores tensors that training changed; for a folder, only MXFP4. */
function coarseTypes({ folder, adapter }: Opened, model: CausalModel): string[] {
  const { tensors } = folder.weights;
  const tuned = model.parameters.filter(({ name }) => isTuned(adapter, name));
  if (folder.ggufPath === undefined) return tuned.some(spec => heldTensors(spec, tensors).isMxfp4) ? ['MXFP4'] : [];
  const types = tuned.flatMap(spec => heldTensors(spec, tensors).names.map(name => tensors.get(name)?.quantization ?? ''));
  return [...new Set(types)].filter(type => type !== '' && isCoarse(ggufTypeNamed(type)));
}

/**
 * The weights of a file under the names of the base. The base names the decoder differently in a model that also sees images, or has
 * multipliers that are in the file's weights.
 */
function byNamesOfBase(
  model: CausalModel,
  { config, weights }: Pick<ModelFolder, 'config' | 'weights'>,
  base: ModelFolder,
): Omit<WeightSource, 'tensors'> & Pick<TensorSource, 'tensors'> {
  const { parameters } = model;
  const [family = none] = ggufFamiliesOf(architectureOf(config) ?? '');
  if (family.hasMultipliedWeights && base.ggufPath === undefined) return withoutMultipliers(weights, describeFolder(base, model));
  // A table may have rows for further tokens there.
  const isLonger = ({ name, shape }: ParameterSpec): boolean => (weights.tensors.get(nameInDecoder(name))?.shape[0] ?? 0) > (shape[0] ?? 0);
  const sizes = new Map(parameters.filter(isLonger).map(({ name, shape }) => [name, elementCount(shape)]));
  if (sizes.size === 0 && parameters.every(({ name }) => nameInDecoder(name) === name)) return weights;
  const tensors = parameters.flatMap(({ name, shape }) => {
    const found = weights.tensors.get(nameInDecoder(name));
    return found === undefined ? [] : [[name, sizes.has(name) ? { ...found, shape } : found] as const];
  });
  const readFloat32 = async (name: string): Promise<Float32Array> =>
    (await weights.readFloat32(nameInDecoder(name))).subarray(0, sizes.get(name));
  return { tensors: new Map([...weights.tensors, ...tensors]), readFloat32 };
}

const none: Pick<GgufFamily, 'hasMultipliedWeights' | 'numbers'> = {};

/** The weights of a file without the multipliers of the base. */
function withoutMultipliers(
  weights: TensorSource,
  { family, sizes }: DescribedModel,
): Omit<WeightSource, 'tensors'> & Pick<TensorSource, 'tensors'> {
  const readFloat32 = async (name: string): Promise<Float32Array> => {
    const shape = weights.tensors.get(name)?.shape ?? [];
    return withoutMultiplier(await weights.readFloat32(name), shape, layoutOf(ggufName(name, family) ?? name, shape, family, sizes));
  };
  return { tensors: weights.tensors, readFloat32 };
}

/** Opens the file again. @throws ExportError for a tensor or a tokenizer that differs from the tuned model's */
async function reopen(path: string, { adapter, folder, tokenizer }: Opened, model: CausalModel): Promise<ReopenedExport> {
  const copy = await openModel(path);
  const close = () => copy.weights.close();
  try {
    const merged = mergedWeights(withInitial(model, folder.weights), adapter);
    const weightsOfBase = byNamesOfBase(model, copy, folder);
    const written = withInitial(model, weightsOfBase);
    for (const spec of model.parameters) {
      const { name } = spec;
      if (!written.tensors.has(name)) throw new ExportError(`${name} is not in the GGUF file: report this with the recipe`);
      const error = errorOf(await written.readFloat32(name), await merged.readFloat32(name));
      const infos = heldTensors(spec, weightsOfBase.tensors).names.map(own => weightsOfBase.tensors.get(own));
      const most = Math.max(...infos.map(info => largestError(info?.quantization ?? info?.dtype ?? '')));
      if (!(error <= most))
        throw new ExportError(
          `${name} differs from the tuned model by ${(100 * error).toPrecision(3)} % of its size, more than the ${100 * most} % of its type: report this with the recipe`,
        );
    }
    if (tokenizer) {
      const found = await copy.loadTokenizer();
      if (smokeIds(model, found).join() !== smokeIds(model, tokenizer).join())
        throw new ExportError('the tokenizer or chat template of the GGUF file is not the base’s: report this with the name of the base');
    }
    return { model: causalModel(copy.config), weights: copy.weights, weightsOfBase, close };
  } catch (error) {
    await close();
    throw error;
  }
}
