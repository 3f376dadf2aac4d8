/** Finds the texts of a run's data that are nearest to a given text, for trying out an embedding model. */
import path from 'node:path';
import type { Adapter } from '../../adapter/adapter.ts';
import { withAdapter } from '../../adapter/read-adapter.ts';
import { comparesTexts } from '../../catalog/objectives.ts';
import { DataProblems } from '../../data/data-error.ts';
import { listDataFiles } from '../../data/read/list-files.ts';
import { groupForm } from '../../data/text-groups/group-form.ts';
import { groupSamples } from '../../data/text-groups/load-groups.ts';
import { GenerateError } from '../../generate/decoder.ts';
import { embedderOf, type TextVectors } from '../../generate/text-vectors.ts';
import type { ModelFolder } from '../../hub/open-model.ts';
import type { Job } from '../../job/job.ts';
import type { ClassifierModel } from '../../model/model-spec.ts';
import { elementAt } from '../../narrow.ts';
import { dot, nearest, unit } from '../../objective/embedding/retrieval.ts';
import { compact } from '../../protocol/text/format.ts';
import { readRunRecipe } from '../../run/run-folder.ts';

export interface NearText {
  readonly text: string;
  /** The cosine similarity of both vectors. */
  readonly similarity: number;
}

/** Maximum number of texts; each takes a pass through the model. */
const MAX_TEXTS = 500;
const SHOWN = 10;

/**
 * Returns the encoder for the answer: that of the adapter; without one, that of an embedding run before tuning, or of a folder that
 * computes vectors. Undefined for other models.
 */
export async function embedderFor(
  folder: ModelFolder,
  { adapter, promptOf }: { readonly adapter: Adapter | undefined; readonly promptOf?: string | undefined },
): Promise<ClassifierModel | undefined> {
  const recipe = adapter === undefined && promptOf !== undefined ? await readRunRecipe(promptOf).catch(() => undefined) : undefined;
  if (!comparesTexts(recipe?.task)) return embedderOf({ folder, adapter });
  return withAdapter(promptOf, async tuned => embedderOf({ folder, adapter: tuned }));
}

/**
 * Returns the first distinct texts of a run's held-out data, or of its training data if it has none.
 * @throws GenerateError if there are no texts
 */
export async function textsOfRun(runDir: string | undefined): Promise<readonly string[]> {
  if (runDir === undefined)
    throw new GenerateError('the model gives vectors, and there are no texts to compare with: try a run, which has those of its data');
  const { data, embedding } = await readRunRecipe(runDir);
  const files = await listDataFiles((data.eval.length > 0 ? data.eval : data.train).filter(path.isAbsolute)).catch(() => []);
  const texts = new Set<string>();
  const samples = groupSamples({ columns: data.columns, form: groupForm(embedding) }, files, { problems: new DataProblems() });
  for await (const sample of samples) {
    for (const text of sample.texts) texts.add(text);
    if (texts.size >= MAX_TEXTS) break;
  }
  if (texts.size === 0) throw new GenerateError(`no data of ${runDir} is on this machine, so there are no texts to compare with`);
  return [...texts].slice(0, MAX_TEXTS);
}

/** Returns the nearest texts, nearest first, without texts that equal `text` or are too long for the model. */
export async function nearestTexts(vectors: TextVectors, text: string, texts: readonly string[], job: Job): Promise<readonly NearText[]> {
  const { prompts: { query: before = '', document = '' } = {} } = vectors;
  const query = unit(await vectors.vectorOf(vectors.idsOf(before + text)));
  const report = job.progress('embed', texts.length, 'texts');
  const known: { readonly text: string; readonly vector: Float32Array }[] = [];
  for (const [i, other] of texts.entries()) {
    if (job.stop !== undefined) break;
    const ids = idsOf(vectors, document + other);
    if (ids && other !== text) known.push({ text: other, vector: unit(await vectors.vectorOf(ids)) });
    report(i + 1);
  }
  const all = known.map(({ vector }) => vector);
  return nearest(query, all, SHOWN).map(place => {
    const { text: found, vector } = elementAt(known, place);
    return { text: found, similarity: dot(query, vector) };
  });
}

/** One line for each: `0.91  How do I reset my password?` */
export const nearestLines = (found: readonly NearText[]): string =>
  found.map(({ text, similarity }) => `${compact(similarity)}  ${text.replaceAll(/\s+/g, ' ')}`).join('\n');

/** The ids of a text; undefined if it is too long for the model. */
function idsOf(vectors: TextVectors, text: string): Int32Array | undefined {
  try {
    return vectors.idsOf(text);
  } catch (error) {
    if (error instanceof GenerateError) return undefined;
    throw error;
  }
}
