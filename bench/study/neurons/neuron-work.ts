/** Computes the parts: scores on samples of each task, the rows that they choose, and the loss of a tuned model without them. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { untouched } from '../../../trainer/adapter/apply-adapter.ts';
import { mergedWeights } from '../../../trainer/adapter/merge.ts';
import { readAdapter } from '../../../trainer/adapter/read-adapter.ts';
import type { MeasureName } from '../../../trainer/catalog/measures.ts';
import { ablate } from '../../../trainer/importance/ablation.ts';
import { chanceOverlap, countRows, jaccard, specificRows } from '../../../trainer/importance/stability.ts';
import { Job } from '../../../trainer/job/job.ts';
import { openBase } from '../../../trainer/job/open-base.ts';
import { placeTrained } from '../../../trainer/method/placement.ts';
import type { Model } from '../../../trainer/model/model-spec.ts';
import { withInitial } from '../../../trainer/model/weight-stream.ts';
import { elementAt, valueFor } from '../../../trainer/narrow.ts';
import { setUpTask } from '../../../trainer/objective/set-up-task.ts';
import { type ComputeScoresParams, drawSamples, scoreSamples, selectionOf } from '../../../trainer/plan/choices/choose-rows.ts';
import { planTargets } from '../../../trainer/plan/run-plan.ts';
import type { JobContext } from '../../../trainer/protocol/messages/job-messages.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import type { Selection } from '../../../trainer/selection.ts';
import { precisionOf } from '../../../trainer/train/recipe-settings.ts';
import { dataOf, type StudySources, type TaskData } from '../data.ts';
import { recipeOf, type StudyJobs } from '../jobs.ts';
import { planOf, settingsOf, type TaskPlan } from '../plan.ts';
import { mean } from '../statistics.ts';
import {
  type Draw,
  draws,
  type NeuronBase,
  type NeuronPart,
  pairsOf,
  placesOf,
  planOfPart,
  SEEDS,
  seedOf,
  sizes,
  tasksOf,
} from './neuron-plan.ts';
import type { AblationRow, NeuronRow, OverlapRow } from './neuron-rows.ts';

export interface NeuronWork {
  readonly context: JobContext;
  /** The folder of the study, for data and tuned models. */
  readonly folder: string;
  readonly sources: StudySources;
  readonly jobs: StudyJobs;
  readonly threads: number;
}

export async function computePart(part: NeuronPart, work: NeuronWork): Promise<NeuronRow> {
  const { user, system } = process.cpuUsage();
  const found = part.kind === 'overlap' ? await overlaps(part, work) : await ablation(part, work);
  const used = process.cpuUsage({ user, system });
  return {
    ...found,
    plan: planOfPart(part),
    cpuSeconds: Number(((used.user + used.system) / 1e6).toFixed(1)),
    machine: `${os.cpus()[0]?.model.trim() ?? 'unknown processor'}, ${os.cpus().length} cores`,
    date: new Date().toISOString(),
  };
}

type Found<Row> = Omit<Row, 'plan' | 'cpuSeconds' | 'machine' | 'date'>;

/** The recipe with which the study trains rows for a task, with another measure and other samples. */
function recipeFor(task: TaskPlan, data: TaskData, measure: MeasureName, seed: number, work: NeuronWork): Recipe {
  const { base } = task;
  const { scored } = sizes[base === 'minilm' ? 'minilm' : 'smollm2'];
  return recipeOf({
    ...settingsOf({ task, arm: 'rows, wanda', purpose: 'tune', learningRate: task.rates.rows, seed }),
    'importance.measure': measure,
    'importance.samples': scored,
    model: data.model,
    'data.train': data.train,
    'data.eval': data.test,
    threads: work.threads,
  });
}

/** The chosen rows, the total number of rows, and the block of each module. */
interface Choice {
  readonly rows: Selection;
  readonly counts: ReadonlyMap<string, { readonly all: number; readonly layer: number }>;
}

/** Returns the rows that a measure chooses on the samples of a draw. */
async function choose(task: TaskPlan, draw: Draw, measure: MeasureName, work: NeuronWork): Promise<Choice> {
  const data = await dataOf(task, work);
  const recipe = recipeFor(task, data, measure, seedOf(draw), work);
  const { params, close } = await openTask(recipe, work);
  try {
    const { setup, modules, units } = params;
    const places = placesOf(draw, drawSamples(setup.samples, recipe.importance));
    // A control uses no samples; each draw is a different seed.
    const seed =
      measure === 'random'
        ? draws.indexOf(draw) + 1000 * tasksOf(task.base === 'minilm' ? 'minilm' : 'smollm2').indexOf(task)
        : recipe.importance.seed;
    const { scores } = await scoreSamples(
      { ...params, recipe: { ...recipe, importance: { ...recipe.importance, seed } } },
      measure,
      measure === 'random' ? [] : places,
    );
    const layers = new Map(modules.map(({ name, layer }) => [name, layer]));
    return {
      rows: selectionOf(params, scores),
      counts: new Map(units.map(({ name, weight }) => [name, { all: weight.shape[0] as number, layer: layers.get(name) ?? -1 }])),
    };
  } finally {
    await close();
  }
}

type OpenedTask = ComputeScoresParams & Required<Pick<ComputeScoresParams, 'setup'>>;

async function openTask(recipe: Recipe, { context, folder }: NeuronWork): Promise<{ readonly params: OpenedTask; close(): Promise<void> }> {
  const job = new Job(() => undefined);
  const base = await openBase({ recipe, context, job });
  const precision = precisionOf(recipe);
  const setup = await setUpTask({ recipe, base, context, job, precision }, 'train');
  const { modules, units } = planTargets(recipe, setup.model);
  const params = {
    recipe,
    base,
    context,
    job,
    modules,
    units,
    precision,
    setup,
    outputFile: path.join(folder, 'neurons.scores.safetensors'),
  };
  return { params, close: () => base.folder.weights.close() };
}

async function overlaps({ base, measure }: Extract<NeuronPart, { kind: 'overlap' }>, work: NeuronWork): Promise<Found<OverlapRow>> {
  const own = tasksOf(base);
  const found = new Map<string, Choice>();
  for (const task of own) for (const draw of draws) found.set(keyOf(task.name, draw), await choose(task, draw, measure, work));
  const first = valueFor(found, keyOf(elementAt(own, 0).name, 'seed 2'));
  const counts = [...first.counts];
  const chosenIn = (module: string): number => first.rows.get(module)?.length ?? 0;
  const choices = own.map(({ name }) => valueFor(found, keyOf(name, 'seed 2')).rows);
  return {
    kind: 'overlap',
    base,
    measure,
    chosen: countRows(first.rows),
    rows: counts.reduce((sum, [, { all }]) => sum + all, 0),
    chance: mean(counts.map(([module, { all }]) => chanceOverlap(chosenIn(module), all))),
    pairs: pairsOf(own.map(({ name }) => name)).map(({ kind, a, b }) => {
      const [one, other] = [a, b].map(({ task, draw }) => valueFor(found, keyOf(task, draw)).rows);
      return { kind, a: keyOf(a.task, a.draw), b: keyOf(b.task, b.draw), ...overlapByLayer(first, one ?? new Map(), other ?? new Map()) };
    }),
    ownShare: Object.fromEntries(
      specificRows(choices).map((rows, i) => [elementAt(own, i).name, countRows(rows) / countRows(elementAt(choices, i))]),
    ),
  };
}

const keyOf = (task: string, draw: Draw): string => `${task}, ${draw}`;

function overlapByLayer({ counts }: Choice, a: Selection, b: Selection): { readonly mean: number; readonly byLayer: number[] } {
  const byLayer: number[][] = [];
  const all: number[] = [];
  for (const [module, { layer }] of counts) {
    const index = jaccard(a.get(module) ?? new Int32Array(), b.get(module) ?? new Int32Array());
    all.push(index);
    if (layer < 0) continue;
    byLayer[layer] ??= [];
    byLayer[layer]?.push(index);
  }
  return { mean: mean(all), byLayer: byLayer.map(mean) };
}

/** Trains a model for each task with LoRA, which changes all weights, so that no choice of rows is favored. */
async function tunedAdapter(task: TaskPlan, data: TaskData, { folder, jobs, threads }: NeuronWork): Promise<string> {
  const runDir = path.join(folder, `neurons-${task.name}-${planOf(task)}`);
  const done = path.join(runDir, 'summary.json');
  if (!existsSync(done)) {
    await rm(runDir, { recursive: true, force: true });
    const settings = settingsOf({ task, arm: 'lora', purpose: 'tune', learningRate: task.rates.product, seed: elementAt(SEEDS, 0) });
    const { after } = await jobs.train(runDir, {
      ...settings,
      model: data.model,
      'data.train': data.train,
      'data.eval': data.validation,
      threads,
    });
    jobs.say(`${task.name}: tuned, validation loss ${after?.loss.toFixed(3)}`);
  }
  return runDir;
}

/** Returns a model with a trained head: none of its weights is an initial value any more. */
const asTrained = <M extends Model>(model: M): M => ({ ...model, parameters: model.parameters.map(({ initial: _, ...rest }) => rest) });

async function ablation(part: Extract<NeuronPart, { kind: 'ablation' }>, work: NeuronWork): Promise<Found<AblationRow>> {
  const { base, measure } = part;
  const own = tasksOf(base);
  const at = own.findIndex(({ name }) => name === part.task);
  const task = elementAt(own, at);
  const data = await dataOf(task, work);
  const choices: Choice[] = [];
  for (const each of own) choices.push(await choose(each, 'seed 2', measure, work));
  const random = await choose(task, 'seed 2', 'random', work);
  const rows = choices.map(choice => choice.rows);
  const only = specificRows(rows);
  const others = own.flatMap(({ name }, i) => (i === at ? [] : [{ name, i }]));
  const sets = [
    { of: 'own' as const, from: task.name, selection: elementAt(rows, at) },
    { of: 'only own' as const, from: task.name, selection: elementAt(only, at) },
    ...others.map(({ name, i }) => ({ of: 'others' as const, from: name, selection: elementAt(rows, i) })),
    ...others.map(({ name, i }) => ({ of: 'only others' as const, from: name, selection: elementAt(only, i) })),
    { of: 'random' as const, from: 'chance', selection: random.rows },
  ];
  const losses = await lossesWithout(task, data, measure, [new Map(), ...sets.map(({ selection }) => selection)], work);
  return {
    kind: 'ablation',
    base,
    measure,
    task: task.name,
    samples: losses.samples,
    tuned: elementAt(losses.zeroed, 0),
    sets: sets.map(({ of, from, selection }, i) => ({
      of,
      from,
      rows: countRows(selection),
      zeroed: elementAt(losses.zeroed, i + 1),
      reset: elementAt(losses.reset, i + 1),
    })),
  };
}

async function lossesWithout(
  task: TaskPlan,
  data: TaskData,
  measure: MeasureName,
  sets: readonly Selection[],
  work: NeuronWork,
): Promise<{ readonly samples: number; readonly zeroed: number[]; readonly reset: number[] }> {
  const runDir = await tunedAdapter(task, data, work);
  // The recipe's training data are the held-out samples: only their losses are measured, and nothing is trained.
  const recipe = recipeFor(task, { ...data, train: data.test }, measure, elementAt(SEEDS, 0), work);
  const { params, close } = await openTask(recipe, work);
  const adapter = await readAdapter(runDir);
  try {
    const { base, setup } = params;
    const samples = Math.min(sizes[base.model.kind === 'causal' ? 'smollm2' : 'minilm'].heldOut, setup.samples);
    const before = withInitial(setup.model, base.folder.weights);
    const ablated = {
      engine: base.engine,
      model: asTrained(setup.model),
      task: setup.task,
      weights: mergedWeights(before, adapter),
      source: await setup.sourceOf([...Array(samples).keys()], recipe.per_device_eval_batch_size),
      storage: placeTrained(untouched, setup.model, params.precision).storage,
      classes: 1,
      classOf: () => 0,
      unit: 'rows' as const,
      sets,
    };
    const flat = (losses: readonly (readonly number[])[]): number[] => losses.map(of => elementAt(of, 0));
    return { samples, zeroed: flat(await ablate(ablated)), reset: flat(await ablate({ ...ablated, instead: before })) };
  } finally {
    await adapter.close();
    await close();
  }
}

export type { NeuronBase };
