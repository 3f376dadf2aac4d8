/** A recipe as the editor sees it: its text, the parser's result, and the facts about its model, data and machine. */
import { type CardName, cardCatalog, usableCardBytes } from '../catalog/cards.ts';
import type { DeviceHere } from '../catalog/device-card.ts';
import { type EngineName, plannedEngine } from '../catalog/engines.ts';
import { type RunMemory, runMemory } from '../machine/run-memory.ts';
import type { RecipeEstimate } from '../plan/memory/predict.ts';
import { type Located, locate } from '../protocol/recipe/located.ts';
import { type ParsedRecipe, parseRecipe } from '../protocol/recipe/parse-recipe.ts';
import type { ResolvedRecipe } from '../protocol/recipe/recipe-schema.ts';
import { teacherOf } from '../protocol/recipe/rules/distillation-rules.ts';
import { rewardModelOf } from '../protocol/recipe/rules/generation-rules.ts';
import type { DataCache, DataFact } from './facts/data-facts.ts';
import { type JudgeFacts, readJudgeFacts } from './facts/judge-facts.ts';
import type { ModelCache, ModelFacts } from './facts/model-facts.ts';
import { type MissingFile, missingFiles } from './facts/named-files.ts';
import { type RunFacts, readRunFacts } from './facts/run-facts.ts';

export interface RecipeView {
  readonly text: string;
  /** The absolute path. */
  readonly file: string;
  readonly baseDir: string;
  readonly parsed: ParsedRecipe;
  readonly root?: Located;
  /** Valid values, and defaults for all others; `model` may be missing. */
  readonly values: ResolvedRecipe;
  /** Facts about the model; undefined if the recipe names none. */
  readonly model?: ModelFacts;
  /** Facts about the teacher; undefined if there is none. */
  readonly teacher?: ModelFacts;
  /** Facts about the reward model that scores answers; undefined if there is none. */
  readonly judge?: JudgeFacts;
  readonly data: readonly DataFact[];
  /** Other files that the recipe names and that do not exist. */
  readonly missingFiles: readonly MissingFile[];
  readonly runs: RunFacts;
  /** The daemon's machine, if the recipe will run on another machine; `availableBytes` is then Infinity because it is unknown. */
  readonly farDaemon?: FarDaemon;
  readonly availableBytes: number;
  /** The card that the user selected, whose memory then counts in place of this machine's. */
  readonly card?: CardName;
  /** The device that a run on this machine would use. */
  readonly device: 'cpu' | 'gpu';
  /** The GPU of this machine and what is assumed about it, if the memory of a run on it is estimated. */
  readonly gpu?: DeviceHere['gpu'];
  /** The memory that a run may use; `isPerDevice` is true if each of its processes and devices has its own memory. */
  readonly usableBytes: number;
  readonly isPerDevice: boolean;
  /** The time at which programs were last compiled on this machine, for itself or for a card; undefined if the run would be elsewhere. */
  readonly programsChangedAt?: number;
  /** The estimate; undefined until it has been computed. */
  readonly estimate?: RecipeEstimate;
}

/** A daemon on another machine, which reads its own models and data. */
export interface FarDaemon {
  readonly url: string;
  /** The base of relative paths on that machine; by default, the folder has the same path as here. */
  readonly folder?: string;
}

export interface ViewSources {
  readonly models: ModelCache;
  readonly data: DataCache;
  readonly availableBytes: () => number;
  /** Returns the device of this machine for an engine. */
  readonly deviceHere: (engine: EngineName) => DeviceHere;
  readonly programsChangedAt?: () => number;
  readonly farDaemon?: () => FarDaemon | undefined;
  readonly card?: () => CardName | undefined;
}

/** Maximum number of data files in one recipe that are checked while typing. */
const MAX_DATA_FILES = 20;

/** Reads the view. Never rejects: incomplete text has a view, too. */
export async function readRecipeView(
  document: Pick<RecipeView, 'text' | 'file' | 'baseDir'>,
  { models, data, ...sources }: ViewSources,
): Promise<RecipeView> {
  const { text, file, baseDir } = document;
  const parsed = parseRecipe(text, { fileName: file });
  const values = parsed.resolved;
  const files = [...values.data.train, ...values.data.eval].slice(0, MAX_DATA_FILES);
  const teacherName = teacherOf(values);
  const judgeName = rewardModelOf(values);
  const look = values.model === undefined ? undefined : models.look(values.model, values.revision, baseDir);
  // The samples of chats are checked with the model's template.
  const lookAtData = async (written: string, part: 'train' | 'eval'): Promise<DataFact> => {
    const found = await look;
    return data.look(written, values, baseDir, { part, model: found?.kind === 'ready' ? { path: found.path, id: found.id } : undefined });
  };
  const [missing, runs, model, teacher, judge, ...facts] = await Promise.all([
    missingFiles(values, baseDir),
    readRunFacts({ name: values.name, outputDir: values.output_dir, file, baseDir }),
    look,
    teacherName && models.look(teacherName.model, teacherName.revision, baseDir),
    judgeName === undefined ? undefined : readJudgeFacts(judgeName, models, baseDir),
    ...files.map((written, i) => lookAtData(written, i < values.data.train.length ? 'train' : 'eval')),
  ]);
  const farDaemon = sources.farDaemon?.();
  const freeBytes = farDaemon === undefined ? sources.availableBytes() : Number.POSITIVE_INFINITY;
  const card = sources.card?.();
  const programsChangedAt = farDaemon === undefined || card !== undefined ? sources.programsChangedAt?.() : undefined;
  const there = card === undefined ? ofMachine(sources.deviceHere(plannedEngine(values.engine)), freeBytes) : ofCard(card);
  const machine = { farDaemon, programsChangedAt, ...there };
  return {
    ...document,
    parsed,
    root: locate(text).root,
    values,
    model,
    teacher,
    judge,
    data: facts,
    missingFiles: missing,
    runs,
    ...machine,
  };
}

type Where = Pick<RecipeView, 'device' | 'gpu' | 'card' | keyof RunMemory>;

const ofMachine = (here: DeviceHere, freeBytes: number): Where => ({ ...here, ...runMemory(here, freeBytes) });

const ofCard = (card: CardName): Where => {
  const usableBytes = usableCardBytes(card);
  return { card, availableBytes: usableBytes, usableBytes, isPerDevice: true, device: 'gpu' };
};

/** The name of the device whose own memory counts; undefined if the machine's memory counts. */
export const memoryOwner = ({ card, gpu, isPerDevice }: Pick<RecipeView, 'card' | 'gpu' | 'isPerDevice'>): string | undefined =>
  isPerDevice ? (card === undefined ? gpu?.name : cardCatalog[card].label) : undefined;
