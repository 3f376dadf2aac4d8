/**
 * Writes the encoder of images of the base as a second GGUF file, which llama.cpp and Ollama load next to the language model (`mmproj`).
 * Training does not change an encoder, so the file holds the base's weights.
 */
import { openByteFile } from '../../format/byte-file.ts';
import { boolEntry, boolsEntry, f32Entry, f32sEntry, type GgufEntry, stringEntry, u32Entry } from '../../format/gguf/gguf-entries.ts';
import { readGguf } from '../../format/gguf/gguf-header.ts';
import type { GgufTensorEntry } from '../../format/gguf/gguf-writer.ts';
import { readProcessorConfig } from '../../format/image/processor-config.ts';
import { elementCount } from '../../graph/types.ts';
import type { ModelFolder } from '../../hub/open-model.ts';
import { type CausalModel, ModelConfigError } from '../../model/model-spec.ts';
import type { ParameterSpec } from '../../model/module-specs.ts';
import { heldTensors, withStacks } from '../../model/stored-form.ts';
import { ACTIVATION_KEYS, type Mmproj, type MmprojTensor, type NoMmproj } from '../../model/vision/mmproj/mmproj.ts';
import { encoderOf } from '../../model/vision/open-encoder.ts';
import type { VisionEncoder } from '../../model/vision/vision-encoder.ts';
import { valueFor } from '../../narrow.ts';
import { ExportError } from '../export-error.ts';
import { type GgufPlan, QUANTIZATION_VERSION, quantized } from './gguf-file.ts';
import { typeInFolder } from './gguf-tensors.ts';
import { FILE_TYPES, ggufTypeNamed, type NamedType } from './quantization.ts';

/** Plans the file of the encoder. @param name the value of `general.name` @returns the reason if llama.cpp cannot compute the encoder */
export async function planMmproj(folder: ModelFolder, model: CausalModel, name: string): Promise<GgufPlan | NoMmproj> {
  try {
    const encoder = encoderOf(model, { config: folder.config, processor: await readProcessorConfig(folder.dir) });
    const found = encoder?.mmproj?.();
    if (encoder === undefined || found === undefined) return { reason: 'Rowtune does not write this encoder for llama.cpp yet' };
    return 'reason' in found ? found : planOf(folder, encoder, found, name);
  } catch (error) {
    // The text part does not depend on the files of the encoder.
    if (error instanceof ModelConfigError) return { reason: error.message.split('\n')[0] ?? error.message };
    throw error;
  }
}

function planOf({ weights }: ModelFolder, { parameters, scale }: VisionEncoder, mmproj: Mmproj, name: string): GgufPlan | NoMmproj {
  const specs = new Map(parameters.map(spec => [spec.name, spec]));
  const missing = parameters.find(spec => heldTensors(spec, weights.tensors).names.some(own => !weights.tensors.has(own)));
  if (missing !== undefined) return { reason: `${missing.name} is not in the weights of the base` };
  const source = withStacks(parameters, weights);
  const types = new Set<NamedType>();
  const tensors = mmproj.tensors.map((tensor): GgufTensorEntry => {
    const type = typeOf(tensor, valueFor(specs, tensor.parameter), weights);
    if (tensor.shape.length === 2) types.add(type);
    return {
      name: tensor.name,
      type: ggufTypeNamed(type),
      shape: tensor.shape,
      data: async () => {
        const values = await source.readFloat32(tensor.parameter);
        return quantized(tensor.values?.(values) ?? values, ggufTypeNamed(type), tensor.shape.at(-1) ?? 1);
      },
    };
  });
  const fileType = (['BF16', 'F16'] as const).find(type => types.has(type)) ?? 'F32';
  return {
    metadata: [
      stringEntry('general.architecture', 'clip'),
      stringEntry('general.type', 'mmproj'),
      stringEntry('general.name', name),
      u32Entry('general.file_type', FILE_TYPES[fileType]),
      u32Entry('general.quantization_version', QUANTIZATION_VERSION),
      ...entriesOf(mmproj),
      f32sEntry('clip.vision.image_mean', scale.mean),
      f32sEntry('clip.vision.image_std', scale.std),
    ],
    tensors,
  };
}

/** A table of positions, which llama.cpp interpolates in float32. */
const TABLE = 'v.position_embd.weight';

/** The type of the base for matrices. llama.cpp's converter writes all other tensors in float32. */
function typeOf({ name, shape, float32 }: MmprojTensor, spec: ParameterSpec, { tensors }: ModelFolder['weights']): NamedType {
  const kept = shape.length === 2 && !float32 && name !== TABLE ? typeInFolder(spec, tensors) : 'F32';
  return kept === 'MXFP4' ? 'F32' : kept;
}

function entriesOf({ projector, sizes, settings }: Mmproj): GgufEntry[] {
  const activation = ACTIVATION_KEYS[sizes.activation];
  return [
    boolEntry('clip.has_vision_encoder', true),
    stringEntry('clip.projector_type', projector),
    ...(activation === undefined ? [] : [boolEntry(`clip.${activation}`, true)]),
    ...Object.entries({
      image_size: sizes.imageSize,
      patch_size: sizes.patch,
      embedding_length: sizes.hiddenSize,
      feed_forward_length: sizes.intermediateSize,
      block_count: sizes.blocks,
      'attention.head_count': sizes.heads,
      projection_dim: sizes.outputSize,
    }).map(([key, value]) => u32Entry(`clip.vision.${key}`, value)),
    f32Entry('clip.vision.attention.layer_norm_epsilon', sizes.epsilon),
    ...Object.entries(settings).map(([name, value]) => {
      const key = `clip.${name}`;
      if (typeof value === 'boolean') return boolEntry(key, value);
      return typeof value === 'number' ? u32Entry(key, value) : boolsEntry(key, value);
    }),
  ];
}

/** Opens the file again. @throws ExportError for a tensor whose bytes are not those of the base */
export async function checkMmproj(path: string, { tensors }: GgufPlan): Promise<void> {
  const file = await openByteFile(path);
  try {
    const { header } = await readGguf(file);
    const found = new Map(header.tensors.map(tensor => [tensor.name, tensor]));
    for (const { name, shape, data } of tensors) {
      const tensor = found.get(name);
      const isSame = tensor !== undefined && elementCount(tensor.shape) === elementCount(shape);
      const bytes = isSame ? await file.read(tensor.position, tensor.byteLength) : new Uint8Array();
      if (!isSame || Buffer.compare(bytes, await data()) !== 0)
        throw new ExportError(`${name} is not in the file of the encoder as in the base: report this with the recipe`);
    }
  } finally {
    await file.close();
  }
}
