/** Measures training steps of language models on a GPU, next to PyTorch + PEFT, for `npm run bench -- --part gpu` and the GPU kit. */
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { DeviceCard } from '../../trainer/catalog/device-card.ts';
import { deviceHere } from '../../trainer/engine/device-here.ts';
import { headersOf } from '../../trainer/plan/config-headers.ts';
import { priceRun } from '../../trainer/plan/memory/predict.ts';
import { planRun } from '../../trainer/plan/run-plan.ts';
import { benchConfigs, benchModels, type GpuModel } from '../bench-models.ts';
import type { Configuration } from '../configuration.ts';
import type { Device } from '../device.ts';
import { Clock, guessAll, log, measureAll, minutes } from '../measurements.ts';
import type { PartContext } from '../part.ts';
import { benchRecipe } from '../recipe.ts';
import { compareWork, type RawRow, type Sides } from '../run-side.ts';
import { writeSyntheticFolder } from '../true-size/synthetic-folder.ts';
import { gpuPlan } from './gpu-plan.ts';
import { type GpuResults, gpuMarkdown, resultsName } from './gpu-report.ts';

/** The engine that supports GPUs of every vendor. */
const ENGINE = 'pjrt';

export interface GpuParams extends Pick<PartContext, 'sides' | 'facts' | 'store' | 'steps' | 'threads' | 'cacheDir' | 'results'> {
  readonly models: readonly GpuModel[];
  /** True for only the runs that the goals are about. */
  readonly isBrief?: boolean;
  readonly checks: Pick<GpuResults, 'operations' | 'goldens' | 'attention'>;
  /** Sentences about what went wrong earlier. */
  readonly problems?: readonly string[];
  /** In milliseconds since 1970; runs that would not finish by then are skipped. */
  readonly until?: number;
}

const isGenerated = (model: Configuration['model']): model is GpuModel => benchModels[model].weights === 'generated';

type PricedConfiguration = Configuration & Pick<RawRow, 'fusesAttention'>;

/** The recipe for a configuration of ours, as a user would write it. */
const recipeOf = ({
  method,
  r,
  setting,
  batch,
  tokens,
  dtype,
  fusesAttention,
}: PricedConfiguration): string => `method: ${method === 'columns' ? 'spsft\ntrains: columns' : method}
${r > 0 ? `r: ${r}\n` : ''}${method === 'lora' ? 'lora_dropout: 0\n' : ''}recompute: ${setting}
per_device_train_batch_size: ${batch}
per_device_eval_batch_size: ${batch}
max_length: ${tokens}
dtype: ${dtype}
max_grad_norm: 0
attention: ${fusesAttention ? 'fused' : 'chunked'}
`;

/** Returns the estimated bytes of a configuration. @param gpu the GPU that it runs on */
export function predictedBytes(configuration: PricedConfiguration, device: Device, gpu?: DeviceCard): number {
  const recipe = benchRecipe(recipeOf(configuration));
  const headers = headersOf(benchConfigs[configuration.model]);
  return priceRun(planRun({ recipe, headers, on: { engine: ENGINE, device, gpu } })).totalBytes;
}

/** Folders of weights; each is written before the first process that loads it. */
class Folders {
  readonly written: Partial<Record<Configuration['model'], string>> = {};
  private readonly parent: string;

  constructor(cacheDir: string) {
    this.parent = path.join(cacheDir, 'bench', 'gpu');
  }

  readonly prepare = async ({ model }: Configuration): Promise<void> => {
    if (!isGenerated(model) || this.written[model] !== undefined) return;
    const dir = path.join(this.parent, model);
    log(`writing weights of ${benchModels[model].title}'s sizes`);
    await writeSyntheticFolder(dir, benchConfigs[model]);
    this.written[model] = dir;
  };

  async remove(): Promise<void> {
    if (existsSync(this.parent)) await rm(this.parent, { recursive: true });
  }
}

/** @returns false if something failed, or if the two sides did not do the same work; the results name runs for which there was no time */
export async function runGpu(params: GpuParams): Promise<boolean> {
  const { sides: given, facts, store, steps, threads, cacheDir, results, models, isBrief = false, checks, problems = [], until } = params;
  const folders = new Folders(cacheDir);
  const sides: Sides = { ...given, engine: ENGINE, countsAllocations: true, folders: folders.written };
  const planned = gpuPlan({ models, steps, isBrief }).filter(
    ({ configuration }) => sides.python !== undefined || configuration.implementation === 'rowtune',
  );
  const clock = new Clock(guessAll({ sides, planned, threads, store }));
  log(`gpu: ${planned.length} processes, about ${minutes(clock.left())}`);
  try {
    const { rows, failures, left } = await measureAll({ sides, planned, threads, jobs: 1, clock, store, prepare: folders.prepare, until });
    const peerless = sides.python === undefined ? ['PyTorch + PEFT: no Python with PyTorch, Transformers and PEFT was found'] : [];
    const failed = [...problems, ...peerless, ...failures, ...compareWork(rows)];
    const ours = rows.filter(({ implementation }) => implementation === 'rowtune');
    const { gpu } = deviceHere(ENGINE, cacheDir);
    const predicted = new Map(ours.map(row => [row, predictedBytes(row, sides.device, gpu)]));
    const device = facts.gpu ?? facts.cpu;
    const isTrial = sides.device !== 'gpu';
    const text = gpuMarkdown({ facts, device: nameOf(device), steps, models, rows, predicted, ...checks, failures: failed, left, isTrial });
    await mkdir(results, { recursive: true });
    const file = path.join(results, isTrial ? 'gpu-trial' : resultsName(nameOf(device)));
    await writeFile(`${file}.md`, text);
    await writeFile(`${file}.json`, `${JSON.stringify({ facts, steps, rows, checks, failures: failed, left })}\n`);
    log(`wrote ${file}.md and .json`);
    return failed.length === 0;
  } finally {
    await folders.remove();
  }
}

/** The device name without the driver version after it. */
const nameOf = (device: string): string => device.split(', driver')[0] ?? device;
