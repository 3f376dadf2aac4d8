/** GGUF files of golden folders have the metadata and the bytes that llama.cpp's own converter writes, and are read back as the model. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { describeFolder } from '../../../trainer/artifact/gguf/gguf-file.ts';
import { fileTensors } from '../../../trainer/artifact/gguf/gguf-tensors.ts';
import { ggufConfig } from '../../../trainer/format/gguf/gguf-config.ts';
import type { GgufValue } from '../../../trainer/format/gguf/gguf-cursor.ts';
import { inFileOrder, layoutOf, shapeInModel } from '../../../trainer/format/gguf/gguf-layout.ts';
import { huggingFaceName } from '../../../trainer/format/gguf/gguf-names.ts';
import { supportedFamily } from '../../../trainer/format/gguf/gguf-unsupported.ts';
import { writeGguf } from '../../../trainer/format/gguf/gguf-writer.ts';
import type { ModelConfig } from '../../../trainer/format/model-config.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { nameInDecoder } from '../../../trainer/model/family/decoder/blocks/names.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { withInitial } from '../../../trainer/model/weight-stream.ts';
import { required } from '../../../trainer/narrow.ts';
import { headerOf } from '../../support/files/gguf-export.ts';
import { readGoldenJson } from '../../support/files/read-json.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';

const GOLDEN = join(import.meta.dirname, '..', '..', 'golden');
const value = z.union([z.number(), z.boolean(), z.string(), z.array(z.union([z.number(), z.boolean(), z.string()]))]);
const converted = readGoldenJson(
  'gguf_converter.json',
  z.record(
    z.string(),
    z.object({
      changes: z.record(z.string(), z.unknown()),
      architecture: z.string(),
      metadata: z.record(z.string(), value),
      tensors: z.record(z.string(), z.tuple([z.array(z.number()), z.string()])),
    }),
  ),
);

/** Keys that differ from the converter's, or that it lacks, by architecture. */
const OTHER: Readonly<Record<string, readonly string[]>> = {
  // Without positions, the length of texts and the rotating features have no effect. llama.cpp prefers this epsilon.
  nemotron_h: ['context_length', 'rope.dimension_count', 'attention.layer_norm_rms_epsilon'],
  // Lengths and vocabulary follow from the sizes and the tokenizer, no scaling is the default, and its norms do not read the other epsilon.
  'command-r': [
    ...['attention.key_length', 'attention.value_length', 'rope.dimension_count', 'vocab_size'],
    ...['rope.scaling.type', 'attention.layer_norm_rms_epsilon'],
  ],
  'falcon-h1': ['rope.dimension_count'],
  // The lengths of keys and values follow from the sizes.
  apertus: ['attention.key_length', 'attention.value_length', 'vocab_size'],
  gptneox: [...['attention.head_count_kv', 'attention.key_length', 'attention.value_length'], ...['rope.freq_base', 'vocab_size']],
  glm4: ['attention.key_length', 'attention.value_length', 'vocab_size'],
  granite_swa: ['attention.key_length', 'attention.value_length'],
  gpt2: ['attention.head_count_kv', 'attention.key_length', 'attention.value_length', 'vocab_size'],
  nemotron_h_moe: ['context_length', 'rope.dimension_count', 'attention.layer_norm_rms_epsilon'],
};

describe.each(Object.entries(converted))('%s', (name, { changes, architecture, metadata, tensors }) => {
  const open = async () => {
    const folder = await openModel(join(GOLDEN, name));
    const changed = Object.entries({ ...folder.config, ...changes }).filter(([, value]) => value !== null);
    const config: ModelConfig = Object.fromEntries(changed);
    return { ...folder, config };
  };
  const isOther = (key: string): boolean => OTHER[architecture]?.includes(key.slice(architecture.length + 1)) ?? false;

  test('metadata', async () => {
    const folder = await open();
    const { family, entries } = describeFolder(folder, causalModel(folder.config));
    expect(family.architecture).toBe(architecture);
    const file = join(await temporaryFolder(), 'metadata.gguf');
    await writeGguf(file, entries, []);
    const own = (await headerOf(file)).metadata;
    const [ours, theirs] = [own, new Map(Object.entries(metadata))].map(all => new Map([...all].filter(([key]) => !isOther(key))));
    expect(ours).toEqual(theirs);
    await folder.weights.close();
  });

  test('tensors', async () => {
    const folder = await open();
    const model = causalModel(folder.config);
    const { family, factors, sizes } = describeFolder(folder, model);
    const weights = withInitial(model, folder.weights);
    const found: Record<string, [readonly number[], string]> = {};
    const digest = (values: Float32Array): string =>
      createHash('sha256')
        .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
        .digest('hex');
    for (const [own, { shape, values }] of fileTensors(model, { architecture, family }, sizes))
      found[own] = [shape, digest(inFileOrder(await values(weights.readFloat32), shape, layoutOf(own, shape, family, sizes)))];
    for (const [own, values] of factors) found[own] = [[values.length], digest(values)];
    expect(found).toEqual(tensors);
    await folder.weights.close();
  });

  test('the converter’s file is read as the model', async () => {
    const folder = await open();
    const model = causalModel(folder.config);
    const all = new Map<string, GgufValue>([['general.architecture', architecture], ...Object.entries(metadata)]);
    const { family } = supportedFamily(name, all);
    const infos = Object.entries(tensors).flatMap(([own, [shape]]) => {
      const named = huggingFaceName(own, family);
      return named === undefined
        ? []
        : [[named, { name: named, dtype: 'F32', shape: shapeInModel(own, shape, family), byteLength: 0 }] as const];
    });
    const header = { version: 3, metadata: all, tensors: [] };
    const config = ggufConfig({ path: name, header, tensors: new Map(infos), ropeFactors: undefined, ropeFactorsByLength: undefined });
    const read = causalModel(config);
    expect(read.parameters.map(each => [each.name, each.shape])).toEqual(
      model.parameters.map(each => [nameInDecoder(each.name), each.shape]),
    );
    expect(required(read.keyValues, 'caches')).toEqual(model.keyValues);
    expect(read.states).toEqual(model.states);
    await folder.weights.close();
  });
});
