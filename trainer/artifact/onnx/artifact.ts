/** The export `onnx`: a classifier or an encoder for ONNX Runtime, Optimum and transformers.js. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import manifest from '../../../package.json' with { type: 'json' };
import { mergedWeights } from '../../adapter/merge.ts';
import { readOnnx } from '../../format/onnx/onnx-reader.ts';
import { writeOnnx } from '../../format/onnx/onnx-writer.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';
import { withInitial } from '../../model/weight-stream.ts';
import type { Artifact, Opened, ReopenedExport } from '../artifact.ts';
import { ExportError } from '../export-error.ts';
import { writeCompanions } from '../merged/merged-folder.ts';
import { lowerModel } from './lower.ts';
import { compareWithOnnxRuntime } from './runtime-check.ts';

/** The path at which the Hub, Optimum and transformers.js expect the file. */
const FOLDER = 'onnx';
const FILE = join(FOLDER, 'model.onnx');

export const artifact: Artifact = (opened, { cacheDir, onEvent }) => {
  const model = exportable(opened);
  const { folder, adapter, tokenizer } = opened;
  const merged = mergedWeights(withInitial(model, folder.weights), adapter);
  const total = model.parameters.length;
  let done = 0;
  const lowered = lowerModel(model, async name => {
    const values = await merged.readFloat32(name);
    onEvent?.({ type: 'progress', phase: 'export', done: ++done, total, unit: 'tensors' });
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  });
  return {
    bytes: lowered.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
    write: async dir => {
      await mkdir(join(dir, FOLDER));
      await writeOnnx(join(dir, FILE), { ...lowered, producerVersion: manifest.version });
      await writeCompanions(dir, { folder, model, adapter, tokenizer, type: 'float32' });
    },
    reopen: dir => reopen(join(dir, FILE), model),
    crossCheck: (dir, exported, engine) => compareWithOnnxRuntime({ path: join(dir, FILE), model, exported, engine, cacheDir }),
  };
};

/** @throws ExportError for a model that generates text, or is a decoder */
function exportable({ model }: Opened): ClassifierModel {
  if (model.kind === 'causal')
    throw new ExportError(`a ${model.family} that generates text is not written to ONNX: export it as gguf or as merged`);
  if (model.input.kind === 'tokens' && model.encoder?.of !== 'encoder')
    throw new ExportError(
      `a ${model.family} is a decoder, which is not written to ONNX even where it classifies or gives vectors: export it as merged`,
    );
  if (model.pooling?.dense) throw new ExportError('layers after the pooling (Dense) are not written to ONNX: export it as merged');
  return model;
}

async function reopen(path: string, model: ClassifierModel): Promise<ReopenedExport> {
  const file = await readOnnx(path);
  const missing = model.parameters.find(({ name }) => !file.tensors.has(name));
  if (missing) throw new ExportError(`${missing.name} is not in the ONNX file: report this with the recipe`);
  return { model, weights: file, close: async () => {} };
}
