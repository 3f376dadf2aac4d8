/**
 * Tests every objective with every method of the catalog, with the batches and updates of a run: gradients and accumulation, and, with a
 * third of the methods on one engine, frozen parameters and a resume. New methods are included automatically, as are new objectives whose
 * samples have a known form.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, test } from 'vitest';
import { engineCatalog } from '../../../trainer/catalog/engines.ts';
import { type MethodName, methodCatalog, methodNames } from '../../../trainer/catalog/methods.ts';
import { type ObjectiveEntry, type ObjectiveName, objectiveCatalog, objectiveNames } from '../../../trainer/catalog/objectives.ts';
import type { Engine, Session } from '../../../trainer/engine/engine.ts';
import { float32Of, type HostArray } from '../../../trainer/graph/types.ts';
import { beginStep, type StepResult } from '../../../trainer/handlers/train/train-step.ts';
import { Job } from '../../../trainer/job/job.ts';
import { openBase } from '../../../trainer/job/open-base.ts';
import type { Trainable } from '../../../trainer/method/method.ts';
import { TargetError } from '../../../trainer/method/targets.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import { setUpTask } from '../../../trainer/objective/set-up-task.ts';
import { planRun, type RunPlan } from '../../../trainer/plan/run-plan.ts';
import type { Recipe } from '../../../trainer/protocol/recipe/recipe-schema.ts';
import { createRandom } from '../../../trainer/random.ts';
import { readSnapshot, writeSnapshot } from '../../../trainer/train/snapshot.ts';
import { accumulates } from '../../../trainer/train/training-params.ts';
import { loadVariables } from '../../../trainer/train/variables.ts';
import { describeOn, openOthers } from '../../support/engines.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { giveBiases } from '../../support/models/biased-model.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { recipeOf } from '../../support/runs/recipe-of.ts';
import { trainedPlaces } from '../../support/runs/trained-places.ts';

const folder = mkdtempSync(join(tmpdir(), 'rowtune-pairs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const context = { cacheDir: join(folder, 'cache'), baseDir: folder, hub: { offline: true } } as const;

const golden = join(import.meta.dirname, '..', '..', 'golden');
const copy = (name: string, ...parts: readonly string[]): void => {
  for (const part of parts) cpSync(join(golden, part), join(folder, name), { recursive: true });
};
copy('teacher', 'llama', 'tiny-tokenizer');
// With biases, which one of the methods trains.
await giveBiases(join(folder, 'teacher'), join(folder, 'causal'));
copy('encoder', 'bert', 'tiny-tokenizer');
// Each batch has its own dropout mask, so halves would not add up to a whole.
const config = join(folder, 'encoder', 'config.json');
writeFileSync(config, JSON.stringify({ ...readRecord(config), hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 }));
copy('images', 'vit');

/** Number of samples, which differ in length. */
const SAMPLES = 4;
const jsonl = (sample: (n: number) => object): string =>
  Array.from({ length: SAMPLES }, (_, n) => `${JSON.stringify(sample(n))}\n`).join('');
const word = (n: number): string => 'abcd'.slice(0, 1 + (n % 4));

/** Data by the form of the samples. */
const data: Readonly<Record<ObjectiveEntry['target'] | 'ranked', string>> = {
  tokens: jsonl(n => ({ prompt: `Q${n}: `, completion: word(n) })),
  preference: jsonl(n => ({ prompt: `Q${n} `, chosen: word(n), rejected: `no ${word(n + 1)}` })),
  judgment: jsonl(n => ({ prompt: `Q${n}: `, completion: word(n), label: n % 2 === 0 })),
  label: jsonl(n => ({ text: `${word(n)} x`, label: n % 2 === 0 ? 'ham' : 'spam' })),
  labels: jsonl(n => ({ text: `${word(n)} x`, labels: n % 2 === 0 ? ['a', 'b'] : ['b'] })),
  number: jsonl(n => ({ text: `${word(n)} x`, label: n / 2 })),
  ranked: jsonl(n => ({ query: word(n), document: `${word(n + 1)} y`, label: n % 2 })),
  tags: jsonl(n => ({ tokens: [word(n), 'x', 'y'], tags: ['B-A', 'O', n % 2 === 0 ? 'O' : 'B-A'] })),
  similarity: jsonl(n => ({ sentence1: word(n), sentence2: `${word(n + 1)} y`, score: n / SAMPLES })),
};
for (const [name, text] of Object.entries(data)) writeFileSync(join(folder, `${name}.jsonl`), text);
for (const [label, value] of Object.entries({ day: 220, night: 20 }))
  for (const n of [1, 2]) {
    mkdirSync(join(folder, 'pictures', label), { recursive: true });
    const background = { r: value, g: value - 9 * n, b: 50 * n };
    await sharp({ create: { width: 8, height: 8, channels: 3, background } })
      .png()
      .toFile(join(folder, 'pictures', label, `${n}.png`));
  }

/** The settings of an objective, by its capabilities. The losses are sums over samples, because accumulation is a law only for those. */
function settingsOf(task: ObjectiveName): readonly string[] {
  const entry: ObjectiveEntry = objectiveCatalog[task];
  const isCausal = entry.model === 'causal' || (entry.startsFrom === 'causal' && !entry.embeds);
  return [
    `model=${entry.reads === 'images' ? 'images' : isCausal ? 'causal' : 'encoder'}`,
    `data.train=${entry.reads === 'images' ? 'pictures' : `${entry.ranks ? 'ranked' : entry.target}.jsonl`}`,
    ...(entry.hasTeacher ? ['distillation.teacher=teacher', 'distillation.top_k=4'] : []),
    // The usual loss compares with the mean of the batch.
    ...(entry.compares?.answers === 'judged' ? ['preference.loss_type=apo_zero_unpaired'] : []),
    ...(entry.embeds ? ['embedding.loss_type=cosine'] : []),
  ];
}

/** Settings that make each method small. */
function methodSettings(method: MethodName): readonly string[] {
  const { r, ratio } = methodCatalog[method];
  return [...(r ? ['r=4'] : []), ...(ratio === undefined ? [] : ['ratio=0.1'])];
}

const plainUpdates = ['optim=sgd', 'weight_decay=0', 'max_grad_norm=0'];
const halves = ['per_device_train_batch_size=2', 'gradient_accumulation_steps=2'];

const recipeFor = (task: ObjectiveName, method: MethodName, ...overrides: readonly string[]): Recipe =>
  recipeOf(
    ...['engine=portable', `task=${task}`, `method=${method}`, 'max_length=24', 'per_device_train_batch_size=4'],
    ...['data.shuffle=false', 'group_by_length=false', 'recompute=none', 'importance.cache=false'],
    ...settingsOf(task),
    ...methodSettings(method),
    ...overrides,
  );

/** Opens the model and the batches of an objective, which its methods share. */
async function openObjective(task: ObjectiveName) {
  const job = new Job(() => undefined);
  const recipe = recipeFor(task, 'full');
  const base = await openBase({ job, context, recipe });
  afterAll(() => base.folder.weights.close());
  const setup = async (...overrides: readonly string[]) =>
    setUpTask({ job, context, recipe: recipeFor(task, 'full', ...overrides), base }, 'train');
  return { base, whole: await setup(), halved: await setup(...halves) };
}

type Opened = Awaited<ReturnType<typeof openObjective>>;

/** Updates with one method on the batches of an objective. */
class Updates {
  readonly plan: RunPlan;
  readonly session: Session;
  private readonly recipe: Recipe;
  private readonly opened: Opened;
  private done = 0;

  private constructor(plan: RunPlan, session: Session, recipe: Recipe, opened: Opened) {
    this.plan = plan;
    this.session = session;
    this.recipe = recipe;
    this.opened = opened;
  }

  static async open(engine: Engine, opened: Opened, recipe: Recipe): Promise<Updates> {
    const plan = planOf(engine, opened, recipe);
    const session = await engine.compile(plan.program('none'));
    const { model, attachment, optimizer } = plan;
    const values = weightStream(model, opened.base.folder.weights, { storage: attachment.storage });
    await loadVariables(session, { model: values, attachment, optimizer, accumulates: accumulates(plan) });
    return new Updates(plan, session, recipe, opened);
  }

  /** Runs one update on all samples. */
  async step(learningRate: number): Promise<StepResult> {
    const sources = [setupOf(this.opened, this.recipe).trainSource()];
    const parts = {
      session: this.session,
      sources,
      recipe: this.recipe,
      plan: this.plan,
      measure: undefined,
      measureWhole: undefined,
      ranks: undefined,
    };
    return (await beginStep(parts, { epoch: 0, batchIndex: 0 }, ++this.done, learningRate)).result;
  }

  async losses(count: number): Promise<number[]> {
    const found: number[] = [];
    for (let i = 0; i < count; i++) found.push((await this.step(1e-2)).loss);
    return found;
  }

  async snapshot(): Promise<Map<string, HostArray>> {
    const parts = new Map<string, HostArray>();
    for await (const { spec, data: values } of readSnapshot(this.session, this.plan.attachment, this.plan.optimizer))
      parts.set(spec.name, values.slice());
    return parts;
  }

  async restore(parts: ReadonlyMap<string, HostArray>, stepsDone: number): Promise<void> {
    await writeSnapshot(this.session, this.plan.attachment, this.plan.optimizer, async name => valueFor(parts, name));
    this.done = stepsDone;
  }
}

const setupOf = ({ whole, halved }: Opened, recipe: Recipe) => (recipe.gradient_accumulation_steps > 1 ? halved : whole);

function planOf({ description }: Engine, opened: Opened, recipe: Recipe): RunPlan {
  const { config, weights } = opened.base.folder;
  const { model, task, trainSource } = setupOf(opened, recipe);
  return planRun({
    recipe,
    headers: { config, tensors: weights.tensors },
    on: { engine: description.name, device: description.device },
    data: { model, task, trainShapes: trainSource().plan.buckets, evalShapes: [] },
  });
}

async function using<T>(opening: Promise<Updates>, use: (updates: Updates) => Promise<T>): Promise<T> {
  const updates = await opening;
  try {
    return await use(updates);
  } finally {
    await updates.session.dispose();
  }
}

/** Trained values by name. */
type Numbers = ReadonlyMap<string, Float32Array>;

const numbersOf = ({ plan }: Updates, parts: ReadonlyMap<string, HostArray>): Numbers =>
  new Map(plan.attachment.trainables.map(({ name }) => [name, float32Of(valueFor(parts, name))]));

const combined = (a: Numbers, b: Numbers, combine: (x: number, y: number) => number): Map<string, Float32Array> =>
  new Map([...a].map(([name, values]) => [name, values.map((x, i) => combine(x, valueFor(b, name)[i] ?? Number.NaN))]));
const dot = (a: Numbers, b: Numbers): number =>
  [...combined(a, b, (x, y) => x * y).values()].reduce((sum, values) => values.reduce((s, x) => s + x, sum), 0);

/** Returns the gradient from one step of plain gradient descent at rate 1, the update's own loss, and the values before it. */
async function gradientOf(updates: Updates) {
  const before = await updates.snapshot();
  const { gradNorm } = await updates.step(1);
  const after = await updates.snapshot();
  const start = numbersOf(updates, before);
  return { start, gradNorm, gradient: combined(start, numbersOf(updates, after), (x, y) => x - y) };
}

/** Distance of the values from their start, relative to the length of the gradient; the loss is smooth on that scale. */
const REACH = 0.02;

/**
 * Expects that the slope of the loss along a mix of the gradient and a random direction, by central differences, equals their dot product.
 */
async function expectSlope(updates: Updates, { start, gradient, gradNorm }: Awaited<ReturnType<typeof gradientOf>>): Promise<void> {
  expect(gradNorm).toBeGreaterThan(0);
  const random = createRandom(7, 1);
  const chance = new Map([...gradient].map(([name, values]) => [name, values.map(() => random.uniform() - 0.5)]));
  const size = Math.sqrt(dot(chance, chance));
  const along = combined(gradient, chance, (g, c) => g / gradNorm + (0.5 * c) / size);
  const lossAt = async (reach: number): Promise<number> => {
    await updates.restore(
      combined(start, along, (x, d) => x + reach * d),
      0,
    );
    return (await updates.step(0)).loss;
  };
  const slope = ((await lossAt(REACH)) - (await lossAt(-REACH))) / (2 * REACH);
  // DoRA treats the norm of a row as a constant (Liu et al. 2024, section 4.3), so its gradient is only near the slope.
  const tolerance = methodCatalog[updates.plan.method].hasMagnitudes ? 0.1 : 0.02;
  expect(Math.abs(slope / dot(gradient, along) - 1)).toBeLessThan(tolerance);
}

/** Expects that values trained in place move as in full tuning. */
function expectAsFull({ plan }: Updates, gradient: Numbers, full: Numbers): void {
  for (const trainable of plan.attachment.trainables) {
    const { name, variable } = trainable;
    const whole = full.get(variable.name);
    if (!whole) continue;
    const wanted = placesOf(trainable, whole.length).map(place => whole[place] ?? Number.NaN);
    expectClose([...valueFor(gradient, name)], wanted, 1e-5, name);
  }
}

/** Returns the flat index in its variable of each element of a trainable. @param length of the variable */
function placesOf({ variable, rows, columns, elements }: Trainable, length: number): number[] {
  const [height = 1] = variable.shape;
  const width = length / height;
  if (rows) return [...rows.indices].flatMap(row => Array.from({ length: width }, (_, i) => row * width + i));
  if (columns) return Array.from({ length: height }, (_, row) => [...columns.indices].map(column => row * width + column)).flat();
  return elements ? [...elements.indices] : Array.from({ length }, (_, i) => i);
}

/** Expects that every value of the model that the method does not train is unchanged, bit for bit. */
async function expectFrozen(updates: Updates, opened: Opened): Promise<void> {
  const { model, attachment } = updates.plan;
  const before = new Map<string, Float32Array>();
  for await (const { name, data: values } of weightStream(model, opened.base.folder.weights)) before.set(name, float32Of(values).slice());
  for (const parameter of model.parameters) {
    const places = trainedPlaces(attachment, parameter);
    if (places === 'all') continue;
    const now = float32Of(await updates.session.read(parameter.name));
    valueFor(before, parameter.name).forEach((value, i) => {
      if (!places.has(i) && !Object.is(value, now[i])) throw new Error(`${parameter.name}[${i}] went from ${value} to ${now[i]}`);
    });
  }
}

const refusalOf = (engine: Engine, opened: Opened, recipe: Recipe): string | undefined => {
  try {
    planOf(engine, opened, recipe);
    return undefined;
  } catch (error) {
    if (error instanceof TargetError) return error.message;
    throw error;
  }
};

const opened = new Map<ObjectiveName, Opened>();
for (const task of objectiveNames) opened.set(task, await openObjective(task));

/** True for a third of the methods of each objective, in turn. */
const isInTurn = (task: ObjectiveName, method: MethodName): boolean =>
  (methodNames.indexOf(method) + objectiveNames.indexOf(task)) % 3 === 0;

/** Returns all methods for the built-in engine, which starts programs at once. */
const methodsWith = (task: ObjectiveName, { description }: Engine): readonly MethodName[] =>
  engineCatalog[description.name].isBuiltIn ? methodNames : methodNames.filter(method => isInTurn(task, method));

describeOn(await openOthers(), engine => {
  describe.each(objectiveNames)('%s', task => {
    const objective = valueFor(opened, task);
    let full: Promise<Numbers> | undefined;
    const gradientOfFull = (): Promise<Numbers> => {
      full ??= using(
        Updates.open(engine, objective, recipeFor(task, 'full', ...plainUpdates)),
        async updates => (await gradientOf(updates)).gradient,
      );
      return full;
    };

    test.each(methodsWith(task, engine))('%s', async method => {
      const refusal = refusalOf(engine, objective, recipeFor(task, method));
      if (refusal !== undefined) {
        expect([task, method]).toEqual(['embedding', 'head']);
        expect(refusal).toMatch(/head/);
        return;
      }
      const halved = await using(Updates.open(engine, objective, recipeFor(task, method, ...plainUpdates, ...halves)), gradientOf);
      await using(Updates.open(engine, objective, recipeFor(task, method, ...plainUpdates)), async updates => {
        const found = await gradientOf(updates);
        expectAsFull(updates, found.gradient, await gradientOfFull());
        for (const [name, values] of found.gradient) expectClose([...valueFor(halved.gradient, name)], [...values], 1e-5, name);
        await expectSlope(updates, found);
      });
      // What is trained and what a snapshot holds depends on the method and its optimizer, not on the loss. `laws.long.test.ts` holds it on
      // every engine.
      if (!engineCatalog[engine.description.name].isBuiltIn || !isInTurn(task, method)) return;
      const recipe = recipeFor(task, method, 'weight_decay=0.01');
      await using(Updates.open(engine, objective, recipe), async updates => {
        await updates.losses(2);
        const parts = await updates.snapshot();
        const onwards = await updates.losses(2);
        await expectFrozen(updates, objective);
        await using(Updates.open(engine, objective, recipe), async resumed => {
          await resumed.restore(parts, 2);
          expect(await resumed.losses(2)).toEqual(onwards);
          expect(await resumed.snapshot()).toEqual(await updates.snapshot());
        });
      });
    });
  });
});
