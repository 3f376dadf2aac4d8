/** The smallest training step of each family in test/golden, planned for a card that need not be present. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { CardName } from '../../../trainer/catalog/cards.ts';
import type { TargetMaker } from '../../../trainer/catalog/tpus.ts';
import { locateCardCompiler, pjrtAddonIsCurrent } from '../../../trainer/engine/install/pjrt-folder.ts';
import { openCardCompiler } from '../../../trainer/engine/pjrt/card-compiler.ts';
import { familyOf } from '../../../trainer/model/architectures.ts';
import { architectureOf, loadModel } from '../../../trainer/model/load-model.ts';
import { headersOf } from '../../../trainer/plan/config-headers.ts';
import { trainingStep } from '../../../trainer/plan/memory/counted-passes.ts';
import { planRun, type RunPlan } from '../../../trainer/plan/run-plan.ts';
import { cacheDir } from '../cache-dir.ts';
import { readRecord } from '../files/read-json.ts';
import { recipeIn } from '../runs/recipe-of.ts';

/** Returns whether a compiler for a maker's cards is installed, for this version of the addon. */
export function compilesFor(maker: TargetMaker): boolean {
  const installed = locateCardCompiler(cacheDir, maker);
  return installed !== undefined && pjrtAddonIsCurrent(installed.folder);
}
/** The compiler for NVIDIA's cards; undefined if none is installed. */
export const compilerHere = compilesFor('nvidia') ? openCardCompiler(cacheDir, 'nvidia') : undefined;
export const noCompiler = 'run rowtune engine install --variant cuda13 --compile-only';
export const noAmdCompiler = 'run rowtune engine install --variant rocm7 --compile-only';
export const noTpuCompiler = 'run rowtune engine install --variant tpu --compile-only';

/** Maximum time to compile a step on a busy machine, in ms. */
export const COMPILE_MS = 1_200_000;

const golden = path.join(import.meta.dirname, '..', '..', 'golden');

export type Config = Readonly<Record<string, unknown>>;

/** Families with the same layers as another family. */
const SAME_LAYERS = [
  'glm4_moe_lite',
  'mistral4',
  'youtu',
  'youtu_tied',
  'ernie4_5',
  'ernie4_5_moe',
  'mellum',
  'starcoder2',
  'gemma',
  'stablelm',
  'stablelm_parallel',
  'phi',
  'vaultgemma',
  'jais2',
  'helium',
  'granitemoe',
  'qwen2_moe',
  'cohere2_moe',
  'cohere',
  'cwm',
  'flint',
  'kolibri1',
  'deepseek_v2',
  'granitemoe_swa',
  'hyperclovax',
  'hyperclovax_plain',
  'nemotron',
  'arcee',
  'modernbert_decoder',
  'modernbert_decoder_biased',
  'modernbert_decoder_score',
  'lfm2_vl',
  'lfm3_vl',
  'minicpm_v',
  'lighton_ocr',
  'glm4v',
  'glm_ocr',
  'paddleocr_vl',
  'internvl',
  'qwen2_vl',
  'qwen3_vl_moe',
  'ultrabert',
  'ultrabert_mean',
  'ultrabert_tokens',
  'camembert',
  'camembert_tokens',
];

interface FamilyFolder {
  readonly folder: string;
  readonly config: Config;
}

/** Returns the first folder of each family in test/golden, and every timm folder, because those belong to many families. */
export function families(): readonly FamilyFolder[] {
  const seen = new Set<string>();
  return readdirSync(golden)
    .filter(folder => existsSync(path.join(golden, folder, 'config.json')) && existsSync(path.join(golden, folder, 'golden.json')))
    .filter(folder => !SAME_LAYERS.includes(folder))
    .flatMap(folder => {
      const config = configOf(folder);
      const architecture = architectureOf(config);
      const family = architecture ? familyOf(architecture) : folder;
      if (seen.has(family)) return [];
      seen.add(family);
      return [{ folder, config }];
    });
}

export const configOf = (folder: string): Config => readRecord(path.join(golden, folder, 'config.json'));

interface CardStep {
  /** Number of tokens per sample; 16 by default. */
  readonly tokens?: number;
  readonly card?: CardName;
}

/**
 * Plans a step on two samples with the recompute level `cheap`. It trains SPSFT with two rows per layer, unless `more` lines of the recipe
 * say otherwise.
 */
export function cardPlan(config: Config, more = 'r: 2\n', { tokens = 16, card }: CardStep = {}): RunPlan {
  const model = loadModel(config);
  const isImage = model.kind !== 'causal' && model.input.kind === 'image';
  const task = model.kind === 'causal' ? 'causal_lm' : isImage ? 'image_classification' : 'sequence_classification';
  const unit = /^trains:/m.test(more) ? '' : 'trains: rows\n';
  const text = `model: base\ndata: {train: [train.jsonl]}\ntask: ${task}\n${unit}${more}max_length: ${tokens}\nper_device_train_batch_size: 2\n`;
  const recipe = recipeIn(text);
  return planRun({ recipe, headers: headersOf(config), on: { engine: 'pjrt', device: 'gpu', card }, recompute: 'cheap' });
}

/** Chooses a few families whose steps cover every operation, greedily: each is the one that adds the most operations. */
export function familiesOfAllOperations(): readonly string[] {
  const steps = families().map(({ folder, config }) => {
    const { signature } = trainingStep(cardPlan(config), 'cheap');
    return { folder, operations: new Set(signature.schedule.map(({ op }) => op)) };
  });
  const left = new Set(steps.flatMap(({ operations }) => [...operations]));
  const added = ({ operations }: (typeof steps)[number]): number => [...operations].filter(op => left.has(op)).length;
  const chosen: string[] = [];
  while (left.size > 0) {
    const next = steps.reduce((most, step) => (added(step) > added(most) ? step : most));
    chosen.push(next.folder);
    for (const op of next.operations) left.delete(op);
  }
  return chosen;
}

/** Maximum relative error of the model of XLA's buffers, compared with the temporaries that the compiler reports. */
export const MAX_MISSED = 0.1;
