/** Collects the facts of a model card from the files of the run's folder. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import manifest from '../../package.json' with { type: 'json' };
import type { CardFacts, CardResult } from '../artifact/model-card.ts';
import { methodLabel } from '../catalog/labels.ts';
import { hubTaskOf, objectiveCatalog } from '../catalog/objectives.ts';
import { listDataFiles } from '../data/read/list-files.ts';
import { MAX_JSON_BYTES, readRegularText } from '../files/regular-file.ts';
import type { Evaluation } from '../job/evaluate.ts';
import { isRecord } from '../narrow.ts';
import { stringifyRecipe } from '../protocol/recipe/stringify-recipe.ts';
import { CHECKPOINT_NAME } from '../protocol/run/run-files.ts';
import { capitalized } from '../protocol/text/format.ts';
import { FEWEST_CLASSES, isByClass, shortLabelOf } from '../protocol/text/metric-text.ts';
import { readMetrics } from '../run/metrics-file.ts';
import { readSummary } from '../run/read-summary.ts';
import { readRunRecipe } from '../run/run-folder.ts';
import { isResultOf } from './job-results.ts';
import type { TrainResult } from './train/train-run.ts';

/** Maximum number of data files to list; more appear only in the recipe. */
const MAX_FILES = 20;

/**
 * Collects the facts.
 * @param adapterPath a run folder, or one of its checkpoints
 * @returns undefined for any other adapter, about which nothing is known
 */
export async function cardFacts(adapterPath: string): Promise<CardFacts | undefined> {
  const runDir = CHECKPOINT_NAME.test(path.basename(adapterPath)) ? path.resolve(adapterPath, '..', '..') : adapterPath;
  const recipe = await readRunRecipe(runDir).catch(() => undefined);
  if (recipe === undefined) return undefined;
  const summary = await resultOf(runDir);
  const lines = await readMetrics(runDir);
  const seconds = lines.reduce((sum, line) => sum + (line.seconds ?? 0), 0);
  const peakBytes = lines.reduce((most, line) => Math.max(most, line.memory_peak_bytes ?? 0), 0);
  return {
    name: recipe.name ?? path.basename(runDir),
    base: recipe.model,
    license: await licenseOf(recipe.model),
    method: methodLabel(recipe.method, recipe.trains),
    task: objectiveCatalog[recipe.task].label,
    hubTask: hubTaskOf(objectiveCatalog[recipe.task]),
    recipe: withoutFolders(stringifyRecipe(recipe)),
    data: await fingerprints([...recipe.data.train, ...recipe.data.eval]),
    results: [...(summary?.after ? resultsOf(summary.before, summary.after) : []), ...forgettingOf(summary)],
    ...(summary?.after && { samples: summary.after.samples }),
    ...(summary && { trainable: summary.trainable, trainableShare: summary.trainableShare, steps: summary.steps, engine: summary.engine }),
    ...(seconds > 0 && { seconds }),
    ...(peakBytes > 0 && { peakBytes }),
    createdBy: `rowtune ${manifest.version}`,
  };
}

/** The recipe without folders of its author's machine, which a public card must not show. */
const withoutFolders = (yaml: string): string => yaml.replace(/(?<=[\s'"[])(?:[A-Za-z]:)?[\\/](?:[^\s'"\],\\/]+[\\/])+/g, '');

async function resultOf(runDir: string): Promise<TrainResult | undefined> {
  const summary = await readSummary(runDir).catch(() => undefined);
  return isResultOf('train', summary) ? summary : undefined;
}

/** The license in the model card of a local base. */
async function licenseOf(model: string): Promise<string | undefined> {
  const text = await readRegularText(path.join(model, 'README.md'), MAX_JSON_BYTES).catch(() => '');
  const front = /^---\r?\n(.*?)\r?\n---/s.exec(text)?.[1];
  try {
    const facts: unknown = front === undefined ? undefined : parse(front);
    const license = isRecord(facts) ? facts.license : undefined;
    return typeof license === 'string' && /^[\w.-]+$/.test(license) ? license : undefined;
  } catch {
    return undefined;
  }
}

function resultsOf(before: Evaluation | null, after: Evaluation): CardResult[] {
  const hasQuartiles = Object.keys(after.labels?.confusion ?? {}).length >= FEWEST_CLASSES;
  const numbers: readonly (readonly [string, (evaluation: Evaluation) => number | undefined, number?])[] = [
    ['Loss', ({ loss }) => loss],
    ['Perplexity', ({ perplexity }) => perplexity],
    ['Accuracy of tokens', ({ tokenAccuracy }) => tokenAccuracy, after.targets],
    ['Accuracy', ({ labels }) => labels?.accuracy, after.samples],
    ...Object.keys(after.measures ?? {})
      .filter(name => hasQuartiles || !isByClass(name))
      .map(name => [capitalized(shortLabelOf(`eval_${name}`)), ({ measures }: Evaluation) => measures?.[name]] as const),
  ];
  return numbers.flatMap(([name, of, counted]) => {
    const value = of(after);
    return value === undefined ? [] : [{ name, before: before ? of(before) : undefined, after: value, ...(counted && { counted }) }];
  });
}

function forgettingOf(summary: TrainResult | undefined): CardResult[] {
  if (summary?.forgetting === undefined) return [];
  const { base, tuned, divergence } = summary.forgetting;
  return [
    { name: 'Loss on general text', before: base, after: tuned },
    { name: 'Divergence from the base there', before: undefined, after: divergence },
  ];
}

async function fingerprints(paths: readonly string[]): Promise<CardFacts['data']> {
  // Names on the hub are not paths; the recipe shows them.
  const local = paths.filter(path.isAbsolute);
  const files = local.length === 0 ? [] : await listDataFiles(local).catch(() => []);
  const found: { name: string; bytes: number; sha256: string }[] = [];
  for (const { file, bytes } of files.slice(0, MAX_FILES)) found.push({ name: path.basename(file), bytes, sha256: await sha256(file) });
  return found;
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  const chunks: AsyncIterable<Uint8Array> = createReadStream(file);
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}
