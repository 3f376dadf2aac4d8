/** Memory estimates of recipes, computed while the user is not typing and cached until something that they depend on changes. */
import { CARD_ENGINE, engineCatalog, plannedEngine } from '../../catalog/engines.ts';
import type { EstimateParams, RecipeEstimate } from '../../plan/memory/predict.ts';
import type { RecipeView } from '../recipe-view.ts';

/** Granularity of free memory in cache keys: it changes constantly, and the recompute level depends on its order of magnitude. */
const ROUNDED_BYTES = 256 * 2 ** 20;
const MAX_CACHED = 32;
/** Maximum number of blocks to estimate. A hundred blocks take a second; the largest dense models have 126. */
const MAX_BLOCKS = 200;

/**
 * Names of errors for a method or a length that does not fit the model, which has its own problem. Compared by name, because errors may
 * come from another process.
 */
const MISFITS: ReadonlySet<string> = new Set(['TargetError', 'SelectionError', 'ModelConfigError', 'DataError']);

/** True if an estimate failed because the settings do not fit the model. */
export const isMisfit = (error: unknown): boolean => error instanceof Error && MISFITS.has(error.name);

/** Requests other recompute levels and methods for comparison. */
export type EstimateDetail = Pick<EstimateParams, 'allLevels' | 'compare'>;

/** The function `estimateModel`, in this process or in another one. @param file the recipe's path, for messages */
export type ComputeEstimate = (
  params: Omit<EstimateParams, 'headers' | 'teacherConfig' | 'judgeConfig' | 'known'> & {
    readonly model: string;
    /** Whether the run would be on this machine or on a card, so that programs compiled for it count. */
    readonly knowsPrograms: boolean;
    readonly teacher?: { readonly model: string } | undefined;
    readonly judge?: { readonly model: string } | undefined;
  },
  file: string,
) => Promise<RecipeEstimate>;

interface Entry {
  /** The estimate; undefined if the method does not fit. */
  readonly estimate: RecipeEstimate | undefined;
  /** Number of completed stages. */
  readonly stages: number;
}

export class EstimateCache {
  private readonly entries = new Map<string, Entry>();
  private readonly stages: readonly EstimateDetail[];

  /** @param detail adds comparisons in a second stage, which take at least three times as long */
  constructor(detail?: EstimateDetail) {
    this.stages = [{}, ...(detail ? [detail] : [])];
  }

  /** The estimate, if it is already known. */
  peek(view: RecipeView): RecipeEstimate | undefined {
    const key = keyOf(view);
    return key === undefined ? undefined : this.entries.get(key)?.estimate;
  }

  /** True if `compute` has something to do. */
  isDue(view: RecipeView): boolean {
    const key = keyOf(view);
    return key !== undefined && (this.entries.get(key)?.stages ?? 0) < this.stages.length;
  }

  /** Runs the next stage. Rejects if `estimate` fails because of a bug, which is not retried. */
  async compute(view: RecipeView, estimate: ComputeEstimate): Promise<void> {
    const key = keyOf(view);
    const { recipe } = view.parsed;
    if (key === undefined || recipe === undefined || view.model?.kind !== 'ready' || !this.isDue(view)) return;
    // Each process of the run, and each of its devices, has its own card.
    const { card, gpu, isPerDevice, usableBytes } = view;
    const where = { recipe, isPerDevice, usableBytes, ...(card === undefined ? { gpu } : { engine: CARD_ENGINE, card }) };
    const { estimate: known, stages: stage = 0 } = this.entries.get(key) ?? {};
    try {
      const teacher = view.teacher?.kind === 'ready' ? { model: view.teacher.path } : undefined;
      const judge = view.judge?.kind === 'ready' ? { model: view.judge.path } : undefined;
      const knowsPrograms = view.programsChangedAt !== undefined;
      const params = {
        ...where,
        knowsPrograms,
        seesImages: seesImages(view),
        model: view.model.path,
        teacher,
        judge,
        device: view.device,
        ...this.stages[stage],
      };
      this.keep(key, { estimate: await estimate(params, view.file), stages: stage + 1 });
    } catch (error) {
      this.keep(key, { estimate: known, stages: this.stages.length });
      if (!isMisfit(error)) throw error;
    }
  }

  private keep(key: string, entry: Entry): void {
    this.entries.set(key, entry);
    const [oldest] = this.entries.keys();
    if (this.entries.size > MAX_CACHED && oldest !== undefined) this.entries.delete(oldest);
  }
}

/** True if a data file brings images that the run reads. */
const seesImages = ({ data }: RecipeView): boolean => data.some(({ bringsImages }) => bringsImages === true);

/** The cache key; undefined if the recipe has errors or its model is unknown. */
function keyOf(view: RecipeView): string | undefined {
  const { parsed, model, teacher, judge, availableBytes, card, gpu, programsChangedAt } = view;
  const { recipe } = parsed;
  if (recipe === undefined || model?.kind !== 'ready' || model.model.blocks > MAX_BLOCKS) return undefined;
  const rounded = recipe.recompute === 'auto' ? Math.round(availableBytes / ROUNDED_BYTES) : 0;
  const { image_size, image_max_pixels, labels } = recipe.data;
  const engine = card === undefined ? plannedEngine(recipe.engine) : CARD_ENGINE;
  const compiledAt = engineCatalog[engine].keepsPrograms ? programsChangedAt : undefined;
  const teacherId = teacher?.kind === 'ready' ? teacher.id : undefined;
  return JSON.stringify([
    { ...recipe, name: '', data: { image_size, image_max_pixels, labels }, output_dir: '', learning_rate: 0 },
    model.id,
    teacherId,
    judge?.kind === 'ready' ? judge.id : undefined,
    seesImages(view),
    rounded,
    card,
    gpu,
    compiledAt,
  ]);
}
