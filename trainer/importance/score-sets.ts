/** Reads a file of scores for display: the sets in it, its modules, and one array at a time. */
import { openSafetensors } from '../format/safetensors/safetensors-source.ts';
import { columnsName } from '../protocol/view/column-names.ts';
import { sectionName } from '../selection.ts';
import { ImportanceError } from './importance-error.ts';
import { METADATA_KEY, MODULES_KEY, modulesSchema, originSchema, type ScoredModule } from './scores-file.ts';

/** One score for each row of each module. */
export interface ScoreSet {
  /** Identifies it within the file. */
  readonly key: string;
  readonly measure: string;
  /** The class, for class-wise scores. */
  readonly className?: string;
}

export interface ScoreSetFile {
  readonly sets: readonly ScoreSet[];
  /** The modules in the model's order, with sections listed separately; for files without shapes, only the rows. */
  readonly modules: ReadonlyMap<string, ShownModule>;
  readonly samples: number;
  /** Returns undefined if the set has no scores of this module. */
  read(key: string, module: string): Promise<Float32Array | undefined>;
  close(): Promise<void>;
}

/** A module, or a section of one. */
export interface ShownModule extends Pick<ScoredModule, 'shape' | 'block'>, Partial<Pick<ScoredModule, 'bias'>> {
  /** The module that contains the rows, and the index of its first row in it. */
  readonly module: string;
  readonly begin: number;
  /** Set if its rows are the columns of the module's weight. */
  readonly unit?: 'columns' | undefined;
}

type StoredModule = Partial<ScoredModule> & Pick<ScoredModule, 'shape'>;

function shownModules(path: string, stored: ReadonlyMap<string, StoredModule>, unit: 'columns' | undefined): Map<string, ShownModule> {
  const shown = new Map<string, ShownModule>();
  for (const [module, { shape, bias, sections, block }] of stored) {
    if (unit) {
      shown.set(columnsName(module), { shape, bias, module, begin: 0, unit, block });
      continue;
    }
    let begin = 0;
    for (const section of sections ?? []) {
      shown.set(sectionName(module, section), { shape: [section.rows, ...shape.slice(1)], bias, module, begin, block });
      begin += section.rows;
    }
    if (!sections) shown.set(module, { shape, bias, module, begin: 0, block });
    else if (begin !== shape[0]) throw new ImportanceError(`${path}: the sections of ${module} have ${begin} rows, it has ${shape[0]}`);
  }
  return shown;
}

/** Upper bound of the rows; no published model has more. They take 256 MB per set. */
const MAX_ROWS = 2 ** 26;

/** @throws ImportanceError if the file has no scores written by Rowtune, ModelFileError if it cannot be read */
export async function openScoreSets(path: string): Promise<ScoreSetFile> {
  const source = await openSafetensors(path);
  try {
    const origin = originSchema.safeParse(parse(source.metadata[METADATA_KEY]));
    if (!origin.success) throw new ImportanceError(`${path} holds no importance scores; make them with: rowtune importance`);
    const shapes = modulesSchema.safeParse(parse(source.metadata[MODULES_KEY])).data ?? {};
    const sets = new Map<string, ScoreSet>();
    // Includes modules without scores so far.
    const modules = new Map<string, StoredModule>(Object.entries(shapes));
    for (const [name, { shape }] of source.tensors) {
      const [module, set] = splitName(name, origin.data.measure);
      const known = modules.get(module) ?? { shape };
      if (shape.length !== 1 || shape[0] !== known.shape[0])
        throw new ImportanceError(`${path}: ${name} is [${shape}], expected one score for each of ${known.shape[0]} rows`);
      modules.set(module, known);
      sets.set(set.key, set);
    }
    const totalRows = [...modules.values()].reduce((sum, { shape }) => sum + (shape[0] as number), 0);
    if (totalRows > MAX_ROWS) throw new ImportanceError(`${path} has scores of ${totalRows} rows; at most ${MAX_ROWS} are shown`);
    const shown = shownModules(path, modules, origin.data.unit);
    return {
      sets: [...sets.values()],
      modules: shown,
      samples: origin.data.samples,
      read: async (key, module) => {
        const part = shown.get(module);
        const name = `${part?.module ?? module}${key}`;
        if (!source.tensors.has(name)) return undefined;
        const scores = await source.readFloat32(name);
        return part ? scores.slice(part.begin, part.begin + (part.shape[0] as number)) : scores;
      },
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/**
 * Splits a tensor name: `<module>` alone has the file's own measure; after an `@` follows another measure, a class, or both: `@class:spam`,
 * `@measure:wanda`.
 */
function splitName(name: string, measure: string): [module: string, set: ScoreSet] {
  const at = name.indexOf('@');
  if (at < 0) return [name, { key: '', measure }];
  const key = name.slice(at);
  const className = /@class:([^@]*)/.exec(key)?.[1];
  const other = /@measure:([^@]*)/.exec(key)?.[1] ?? (className === undefined ? key.slice(1) : measure);
  return [name.slice(0, at), { key, measure: other, className }];
}

function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? 'null');
  } catch {
    return null;
  }
}
