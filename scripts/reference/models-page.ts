/** docs/reference/models.md: the families, their classes, what works for each, and the measured errors compared with Transformers. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { namesOf } from '../../trainer/catalog/entries.ts';
import { classWritesText, isOfEnding, type ObjectiveName, objectiveCatalog, objectiveNames } from '../../trainer/catalog/objectives.ts';
import { ggufFamilies, ggufFamiliesOf } from '../../trainer/format/gguf/families/gguf-families.ts';
import { PROCESSOR_FILES, processorSettings } from '../../trainer/format/image/processor-config.ts';
import { type Architecture, architectureOfType, architectures, familyOf, headedClass } from '../../trainer/model/architectures.ts';
import { innerDecodersOf, isTextPart } from '../../trainer/model/family/decoder/text-part.ts';
import { architectureOf } from '../../trainer/model/load-model.ts';
import { readsImages, visionEncoder } from '../../trainer/model/vision/vision-encoders.ts';
import { elementAt, isRecord, recordIn } from '../../trainer/narrow.ts';
import { TOLERANCES } from '../../trainer/verify/verify-model.ts';
import { code, codes, list, page, paragraph, table } from './markdown.ts';

type Quantity = keyof typeof TOLERANCES;
type Errors = Readonly<Record<Quantity, number>>;

const byEngine = z.record(z.string(), z.object({ logits: z.number(), loss: z.number(), gradients: z.number() }));
/**
 * The file that `npm run reference -- --measure` writes: the largest error of each folder by engine, and the description of each engine.
 */
export const goldenErrors = z.object({
  engines: z.record(z.string(), z.string()),
  /** Folders that were measured on another machine, by the name of the engine there. */
  others: z.record(z.string(), z.array(z.string())),
  folders: z.record(z.string(), byEngine),
});
export type GoldenErrors = z.infer<typeof goldenErrors>;

const quantities = namesOf(TOLERANCES);

const classes = namesOf(architectures);
const families = [...new Set(classes.map(familyOf))];
const classesOf = (family: string): Architecture[] => classes.filter(name => familyOf(name) === family);

const tasksOf = (family: string): ObjectiveName[] => {
  const own = classesOf(family);
  const writes = own.some(classWritesText);
  // The text part of models that also process images is trained.
  const text = own.map(name => name.replace(/ForConditionalGeneration$/, 'ForCausalLM'));
  const trained = [...text, ...own.flatMap(name => headedClass(name, 'single_label') ?? [])];
  return objectiveNames.filter(task => {
    const { embeds, architectures: ending } = objectiveCatalog[task];
    return (embeds && writes) || trained.some(name => isOfEnding(name, ending));
  });
};

/** Tasks with the same families share a column. */
const taskGroups = groupsOf(objectiveNames, task =>
  families
    .filter(family => tasksOf(family).includes(task))
    .sort()
    .join(),
);

/** @returns groups with at least one name */
function groupsOf<Name>(names: readonly Name[], keyOf: (name: Name) => string): (readonly [Name, ...Name[]])[] {
  const groups = new Map<string, [Name, ...Name[]]>();
  for (const name of names) {
    const key = keyOf(name);
    const group = groups.get(key);
    if (group) group.push(name);
    else groups.set(key, [name]);
  }
  return [...groups.values()];
}

/** llama.cpp's names of a family, or of the decoders inside it. */
function ggufOf(family: string): string[] {
  const inner = classesOf(family).flatMap(name => (isTextPart(name) ? innerDecodersOf(name) : []));
  const written = inner.flatMap(name => ggufFamiliesOf(name)).map(({ architecture }) => architecture);
  const own = Object.entries(ggufFamilies).flatMap(([name, each]) =>
    [each, each.withExperts].some(one => one && [one.class, ...(one.writes ?? [])].some(own => familyOf(own) === family)) ? [name] : [],
  );
  return [...new Set([...own, ...written])];
}

/** Families without a folder, and those with the same encoder. */
const SAME_ENCODER: Readonly<Record<string, string>> = { Glm46V: 'Glm4v' };

/** True if exports to GGUF have the encoder of images, too, as a model folder with reference numbers shows. */
function hasMmproj(golden: string, folders: readonly string[]): boolean {
  return folders.some(folder => {
    const [config, whole, own] = ['config.json', ...PROCESSOR_FILES].map(name => recordOf(path.join(golden, folder, name)));
    const architecture = config && architectureOf(config);
    if (config === undefined || architecture === undefined || own === undefined || !readsImages(architecture)) return false;
    return visionEncoder(architecture, { config, processor: processorSettings(whole, own) })?.mmproj !== undefined;
  });
}

/** The object in a JSON file; undefined if there is no such file. */
function recordOf(file: string): Record<string, unknown> | undefined {
  return existsSync(file) ? recordIn(readFileSync(file, 'utf8')) : undefined;
}

/** @param golden the folder of the model folders with reference numbers */
export function modelsPage(errors: GoldenErrors, golden: string): string {
  const folders = foldersByFamily(golden);
  const engines = Object.keys(errors.engines);
  const measuredOf = (family: string): Errors[][] =>
    (folders.get(family) ?? []).flatMap(folder => {
      const found = errors.folders[folder];
      return found === undefined ? [] : [engines.flatMap(engine => found[engine] ?? [])];
    });
  const unmeasured = [...folders.values()].flat().filter(folder => errors.folders[folder] === undefined);
  const withoutFolder = families.filter(family => !folders.has(family));
  return page('Models', 'trainer/model/architectures.ts and test/golden/errors.json', [
    paragraph(
      'A model is a folder as Hugging Face has them, a `.gguf` file, or a name on the hub. The families below are read under the class names of Transformers. [Model folders](model-folders.md) says which files are read, and what happens to heads, padding, dropout and batch norm.',
    ),
    '## Families',
    table(
      ['family', ...taskGroups.map(tasks => tasks.map(task => code(task)).join(' ')), 'images in chats', 'GGUF', 'images in GGUF'],
      families.map(family => [
        family,
        ...taskGroups.map(([task]) => (tasksOf(family).includes(task) ? '✓' : '')),
        classesOf(family).some(readsImages) ? '✓' : '',
        codes(ggufOf(family)),
        hasMmproj(golden, folders.get(SAME_ENCODER[family] ?? family) ?? []) ? '✓' : '',
      ]),
    ),
    paragraph(
      'A column has the [tasks](tasks.md) that the same families can be tuned for. No method, measure or export format is tied to a family; [How the methods work](../explanation/methods.md) lists what each excludes. Families with images in chats can be [tuned on them](../how-to/tune-on-images.md). The GGUF column has the name of the architecture in llama.cpp; where the last column has a mark, an export also writes the encoder of images (`mmproj`).',
    ),
    '## Class names',
    list(families.map(family => `${family}: ${codes(classesOf(family))}`)),
    paragraph(
      `A config.json without \`architectures\` is known by its \`model_type\`: ${Object.entries(architectureOfType)
        .map(([type, name]) => `${code(type)} as ${code(name)}`)
        .join(', ')}.`,
    ),
    '## Measured errors',
    paragraph(
      `The largest difference from Transformers in float32, over small folders with random weights (\`rowtune verify\`). Logits and loss are absolute, gradients relative to the norm of the reference. The limits are ${quantities.map(name => `${TOLERANCES[name]} for ${name}`).join(', ')}. Measured with ${Object.entries(
        errors.engines,
      )
        .map(([name, text]) => `${name}: ${text}`)
        .join('; ')}${Object.entries(errors.others)
        .map(([name, list]) => `; ${list.join(', ')} with ${name}`)
        .join('')}. \`npm run reference -- --measure\` measures again.`,
    ),
    table(
      ['family', 'folders', ...engines.flatMap(engine => quantities.map(name => `${name}, ${engine}`))],
      families.flatMap(family => {
        const measured = measuredOf(family);
        if (measured.length === 0) return [];
        const worst = (engine: number, name: Quantity) => Math.max(...measured.map(byEngine => byEngine[engine]?.[name] ?? Number.NaN));
        return [[family, String(measured.length), ...engines.flatMap((_, at) => quantities.map(name => worst(at, name).toExponential(1)))]];
      }),
    ),
    ...(unmeasured.length === 0 ? [] : [paragraph(`Folders that are tested but not measured yet: ${unmeasured.join(', ')}.`)]),
    ...(withoutFolder.length === 0 ? [] : [paragraph(`Without a folder of their own: ${withoutFolder.join(', ')}.`)]),
  ]);
}

/** The model folders with reference numbers, by the family that their config.json names. */
function foldersByFamily(golden: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const folder of readdirSync(golden).sort()) {
    const files = ['config.json', 'golden.json'].map(file => path.join(golden, folder, file));
    if (!files.every(file => existsSync(file))) continue;
    const config: unknown = JSON.parse(readFileSync(elementAt(files, 0), 'utf8'));
    const family = familyOf((isRecord(config) && architectureOf(config)) || 'TimmWrapperForImageClassification');
    found.set(family, [...(found.get(family) ?? []), folder]);
  }
  return found;
}
