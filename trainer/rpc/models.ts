/** Lists the available models in the hub cache and in folders that a client names, reading only their headers. */
import path from 'node:path';
import { FolderWalk, type WalkBudget } from '../files/folder-walk.ts';
import { isModelGguf } from '../format/gguf/gguf-file-name.ts';
import { WEIGHT_FILES } from '../format/weight-forms.ts';
import { listComplete } from '../hub/hub-cache.ts';
import { mapAtOnce } from '../machine/map-at-once.ts';
import { messageOf } from '../protocol/error-facts.ts';
import type { ModelInfo, ModelList } from '../protocol/messages/rpc-messages.ts';
import { RUN_FILES, STATE_FILE } from '../protocol/run/run-files.ts';
import type { AskReader } from '../reader/reader.ts';

const isWeights = (name: string): boolean => name.endsWith('.safetensors') || WEIGHT_FILES.includes(name);

/** A model folder is at most three levels below a folder that a client names. The time limit includes reading headers. */
const LIST_BUDGET: WalkBudget = { maxDepth: 3, maxEntries: 200_000, maxMs: 10_000 };
const MAX_MODELS = 500;
/** Number of models whose headers are read at once: the number of the reader's processes; other requests run in between. */
const AT_ONCE = 2;
/** Maximum wall-clock time for the headers of one model; on a busy machine, the reading process takes seconds to start. */
const MODEL_MS = 15_000;

export async function listModels(
  cacheDir: string,
  folders: readonly string[],
  reader: AskReader,
  budget = LIST_BUDGET,
): Promise<ModelList> {
  const found: { readonly name: string; readonly path: string; readonly source: ModelInfo['source'] }[] = [];
  const walk = new FolderWalk(budget);
  for (const model of await listComplete(cacheDir)) found.push({ ...model, source: 'cache' });
  for (const folder of folders) await search(folder);
  if (found.length > MAX_MODELS) walk.cut();
  const models = await mapAtOnce(found.slice(0, MAX_MODELS), AT_ONCE, model => (walk.hasTime() ? describe(model) : undefined));
  return { models: models.filter(model => model !== undefined), truncated: walk.truncated };

  async function describe(model: Pick<ModelInfo, 'name' | 'path' | 'source'>): Promise<ModelInfo> {
    try {
      return { ...model, ...(await reader.ask('describe', { model: model.path }, `Reading ${model.path}`, MODEL_MS)) };
    } catch (error) {
      return { ...model, problem: messageOf(error) };
    }
  }

  async function search(root: string): Promise<void> {
    /** The run that a folder belongs to. */
    const runs = new Map<string, string>();
    for await (const { path: folder, entries, folders: inside } of walk.below(root)) {
      const files = new Set(entries.filter(({ name }) => !inside.has(name)).map(({ name }) => name));
      const run = runs.get(path.dirname(folder));
      if (files.has('config.json') && [...files].some(isWeights)) add(path.basename(folder), folder, run);
      for (const name of files) if (isModelGguf(name)) add(path.basename(name, '.gguf'), path.join(folder, name), run);
      const own = files.has(STATE_FILE) && files.has(RUN_FILES.recipe) ? path.basename(folder) : run;
      if (own !== undefined) runs.set(folder, own);
      inside.delete(RUN_FILES.checkpoints);
      if (found.length > MAX_MODELS) walk.cut();
    }
  }

  function add(name: string, where: string, run: string | undefined): void {
    found.push(run === undefined ? { name, path: where, source: 'folder' } : { name: `${run}/${name}`, path: where, source: 'run' });
  }
}
