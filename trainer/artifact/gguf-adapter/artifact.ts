/** The export `gguf-adapter`: factors that Ollama and llama.cpp apply to a GGUF file of the base. */
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Adapter } from '../../adapter/adapter.ts';
import { writeTextFile } from '../../files/durable-file.ts';
import { openByteFile } from '../../format/byte-file.ts';
import type { FoundFamily } from '../../format/gguf/families/gguf-families.ts';
import type { LayoutSizes } from '../../format/gguf/families/gguf-family.ts';
import { readGgufHeader } from '../../format/gguf/gguf-header.ts';
import { layoutOf, layoutSizes } from '../../format/gguf/gguf-layout.ts';
import { ggufTensorBytes, writeGguf } from '../../format/gguf/gguf-writer.ts';
import type { ModelFolder } from '../../hub/open-model.ts';
import { hasLlamaCpp } from '../../llama-cpp/llama-cpp-packages.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import type { ParameterSpec } from '../../model/module-specs.ts';
import { withInitial } from '../../model/weight-stream.ts';
import type { Artifact, Opened } from '../artifact.ts';
import { ExportError } from '../export-error.ts';
import { describeFolder, familyOf, ggufDataBytes, planGguf } from '../gguf/gguf-file.ts';
import { fileTensors } from '../gguf/gguf-tensors.ts';
import { compareWithLlamaCpp } from '../gguf/llama-check.ts';
import { MODELFILE, modelfile, ollamaName } from '../gguf/modelfile.ts';
import { type AdapterPlace, adapterFile, withAdapterFile } from './adapter-file.ts';
import { factorsOf } from './factors.ts';

export const artifact: Artifact = async (opened, { cacheDir, onEvent }) => {
  const { folder, model, tokenizer } = opened;
  if (model.kind !== 'causal')
    throw new ExportError(`a ${model.family} that classifies is not written to GGUF, whose programs generate text: export it as merged`);
  const source = basename(folder.source).replace(/\.gguf$/i, '') || 'model';
  const [file, base] = [`${source}-lora.gguf`, `${source}.gguf`];
  const { architecture, places } = await placesOf(opened, model);
  const { metadata, tensors } = adapterFile(places, architecture, `${source}-lora`);
  const isChecked = cacheDir !== undefined && hasLlamaCpp(cacheDir);
  // llama.cpp needs the base as a GGUF file, which is written only for the comparison.
  const plan = isChecked && folder.ggufPath === undefined ? await planOfBase(opened, model) : undefined;
  return {
    bytes: tensors.reduce((sum, tensor) => sum + ggufTensorBytes(tensor), plan === undefined ? 0 : ggufDataBytes(plan)),
    write: async dir => {
      await writeGguf(join(dir, file), metadata, tensors);
      const { generationConfig } = folder;
      if (tokenizer)
        await writeTextFile(join(dir, MODELFILE), modelfile({ file, base, tokenizer, generationConfig, maxPositions: model.maxPositions }));
    },
    reopen: async dir => {
      const weights = await withAdapterFile(join(dir, file), places, withInitial(model, folder.weights));
      return { model, weights, close: weights.close };
    },
    commands: {
      Ollama: `ollama create ${ollamaName(`${source}-lora`)} -f ${MODELFILE} && ollama run ${ollamaName(`${source}-lora`)}`,
      'llama.cpp': `llama-cli -m ${base} --lora ${file} -cnv`,
    },
    crossCheck: async (dir, exported, engine) => {
      const path = folder.ggufPath ?? join(dir, base);
      try {
        if (plan !== undefined) {
          onEvent?.({ type: 'phase', name: 'verify', message: 'writing the base as GGUF, to compare with llama.cpp' });
          await writeGguf(path, plan.metadata, plan.tensors);
        }
        return await compareWithLlamaCpp({ path, lora: join(dir, file), exported, engine, cacheDir });
      } finally {
        if (plan !== undefined) await rm(path, { force: true });
      }
    },
  };
};

/** The positions of all factors in a file for the base. */
async function placesOf(
  { folder, adapter }: Opened,
  model: CausalModel,
): Promise<{ readonly architecture: string; readonly places: readonly AdapterPlace[] }> {
  const factors = factorsOf(model, folder.weights, adapter);
  const { found, sizes } = folder.ggufPath === undefined ? ofFolder(folder, model) : await ofFile(folder.ggufPath);
  const held = [...fileTensors(model, found, sizes)];
  const parts = new Map<ParameterSpec, number>();
  for (const [, { spec }] of held) parts.set(spec, (parts.get(spec) ?? 0) + 1);
  const names = new Map(
    held.flatMap(([name, { parameters, spec }]) => (parameters.length === 1 && parts.get(spec) === 1 ? [[spec.name, name] as const] : [])),
  );
  const places = factors.map((each): AdapterPlace => {
    const name = names.get(each.module.weight.name);
    if (name === undefined) throw new ExportError(`${each.module.name} has no tensor of its own in llama.cpp: export it as gguf`);
    if (found.family.withoutAdapters?.test(name))
      throw new ExportError(`llama.cpp applies no adapter to ${each.module.name}: export it as gguf, or leave it out of target_modules`);
    return { ...each, name, layout: layoutOf(name, each.module.weight.shape, found.family, sizes) };
  });
  return { architecture: found.architecture, places };
}

interface Base {
  readonly found: FoundFamily;
  readonly sizes: LayoutSizes;
}

function ofFolder(folder: ModelFolder, model: CausalModel): Base {
  const { family, sizes } = describeFolder(folder, model);
  return { found: { architecture: family.architecture, family }, sizes };
}

async function ofFile(path: string): Promise<Base> {
  const file = await openByteFile(path);
  const header = await readGgufHeader(file).finally(() => file.close());
  return { found: familyOf(header), sizes: layoutSizes(header.metadata) };
}

const planOfBase = (opened: Opened, model: CausalModel) =>
  planGguf({
    opened: { ...opened, adapter: untrained(opened.adapter) },
    model,
    type: 'base',
    name: 'base',
    onTensor: () => undefined,
    onWarning: () => undefined,
  });

/** An adapter of the same method without any trained parameters. */
const untrained = (adapter: Adapter): Adapter => ({
  ...adapter,
  tensors: new Map(),
  description: {
    ...adapter.description,
    modules: [],
    rows: new Map(),
    columns: new Map(),
    elements: new Map(),
    lora: new Map(),
    whole: [],
  },
});
