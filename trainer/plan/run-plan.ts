/**
 * The plan of a run: everything that is decided beforehand, from the recipe, the headers of the model, and facts about data and machine.
 * Training compiles the programs of a plan, and the estimate prices the same plan.
 */

import { type MethodName, methodCatalog } from '../catalog/methods.ts';
import { hasOneOutput, objectiveCatalog } from '../catalog/objectives.ts';
import { answerRoom, type DecodeProgramParams, decodeTraces } from '../generate/decode-program.ts';
import type { ComputedParts } from '../graph/graph.ts';
import { assemble, type Program, type Signature, type Traced } from '../graph/program.ts';
import { type RecomputePolicy, sqrtBlocks } from '../graph/recompute.ts';
import { elementBudget, firstElements } from '../method/elements.ts';
import type { Attachment, MethodSettings } from '../method/method.ts';
import { methods } from '../method/methods.ts';
import { placeTrained } from '../method/placement.ts';
import { firstUnits, targetsByUnit, unitsOf } from '../method/spsft/targets.ts';
import { withStarts } from '../method/start-copies.ts';
import { TargetError, targetModules } from '../method/targets.ts';
import { hasYoung, type SecondChoice, withYoung } from '../method/young-rows.ts';
import type { ConfigJson, ModelOptions } from '../model/config-json.ts';
import { loadModel } from '../model/load-model.ts';
import { type AnyModel, chosenSize } from '../model/model-spec.ts';
import type { ModuleSpec } from '../model/module-specs.ts';
import type { ComputeType, Precision } from '../model/weight-storage.ts';
import { checkWeights } from '../model/weight-stream.ts';
import { required } from '../narrow.ts';
import { type RewardPass, rewardPassOf } from '../objective/answers/reward-program.ts';
import { choiceTraces } from '../objective/causal/choice-program.ts';
import { poolingOf } from '../objective/embedding/recipe-pooling.ts';
import { taskOf } from '../objective/task-of.ts';
import type { Pooling } from '../protocol/pooling.ts';
import { readsBase } from '../protocol/recipe/live-reference.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { writesAnswers } from '../protocol/recipe/rules/generation-rules.ts';
import type { RowsOf, Selection } from '../selection.ts';
import { offloadPlaces } from '../train/optimizer-offload.ts';
import {
  type ComputesOn,
  deviceParts,
  fillingRowsOn,
  hostFrom,
  methodSettings,
  optimizerSettings,
  precisionOf,
  withTraining,
} from '../train/recipe-settings.ts';
import type { BatchShape, Task } from '../train/task.ts';
import { type TrainPass, trainPasses } from '../train/train-passes.ts';
import { traceEval, trainProgram } from '../train/train-program.ts';
import type { TrainProgramParams } from '../train/training-params.ts';

/** config.json and the tensors of the weight file, as returned by `readModelHeaders`. */
export interface PlanHeaders {
  readonly config: ConfigJson;
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  /** How the model pools a text's tokens into a vector, if the folder specifies it. */
  readonly vectors?: Pooling | undefined;
  /** The settings of the processor of images, if the folder has any. */
  readonly processor?: ConfigJson | undefined;
}

/** The size of a cache of keys and values: tokens per text, and number of texts. */
export type AnswerCache = Required<Pick<DecodeProgramParams, 'tokens' | 'slots'>> & Pick<DecodeProgramParams, 'images'>;

/** Facts about the data. */
export interface DataFacts {
  /** The model, with a head for the labels of the data. */
  readonly model: AnyModel;
  readonly task: Task;
  /** Shapes of all batches. */
  readonly trainShapes: readonly BatchShape[];
  readonly evalShapes: readonly BatchShape[];
  /** The cache of keys and values, if evaluations write answers. */
  readonly answerCache?: AnswerCache | undefined;
  /** The shapes of multiple-choice questions, if evaluations answer them. */
  readonly choiceShapes?: readonly BatchShape[] | undefined;
  /** The reward model, if one scores the answers. */
  readonly judge?: RewardPass | undefined;
}

export interface PlanFacts {
  readonly recipe: Recipe;
  readonly headers: PlanHeaders;
  readonly on: ComputesOn;
  /** Facts about the data. If omitted: the model as its config describes it, and one full batch of `max_length` tokens that all count. */
  readonly data?: DataFacts;
  /** True if samples have images that the model reads; decided by `data` if given. */
  readonly seesImages?: boolean | undefined;
  /** config.json of the reward model that scores answers, if no data is given. */
  readonly judgeConfig?: ConfigJson | undefined;
  /** The chosen rows or elements. If omitted, the first ones, because the choice makes no difference to the memory. */
  readonly selection?: Selection;
  /** The second choice of rows that `selection` comes from. */
  readonly choice?: SecondChoice | undefined;
  /** The compute type that was measured to be faster, for `dtype: auto`. */
  readonly dtype?: ComputeType;
  /** True if one kernel of the device computes attention, as decided by a test. By default, as the recipe says. */
  readonly fusesAttention?: boolean;
  /** The part of each batch that this process computes. By default, one of the recipe's processes, or the parts of all devices. */
  readonly parts?: ComputedParts | undefined;
  /** The recompute level of a resumed run, in place of the recipe's. */
  readonly recompute?: Recipe['recompute'];
}

/** A model and its trained parameters. */
interface PlannedModel {
  readonly model: AnyModel;
  readonly task: Task;
  readonly attachment: Attachment;
}

export interface RunPlan extends PlannedModel {
  readonly method: MethodName;
  readonly settings: MethodSettings;
  readonly on: ComputesOn;
  readonly config: ConfigJson;
  readonly precision: Precision;
  /** The attachment in float32, as the method returns it; `attachment` is the same in the form that the engine stores. */
  readonly attached: Attachment;
  /** The requested level; `auto` is resolved by the price. */
  readonly recompute: Recipe['recompute'];
  readonly optimizer: TrainProgramParams['optimizer'];
  /** The variables that are not stored where the engine computes. */
  readonly places: Program['places'];
  /** Bytes of the smallest block weight that is stored in the host's memory; undefined if none is. */
  readonly hostFrom: number | undefined;
  readonly maxGradNorm: number;
  readonly accumulationSteps: number;
  readonly exchangeType: TrainProgramParams['exchangeType'];
  readonly parts?: ComputedParts | undefined;
  readonly trainShapes: readonly BatchShape[];
  readonly evalShapes: readonly BatchShape[];
  /** The cache of keys and values, if evaluations write answers. */
  readonly answerCache: AnswerCache | undefined;
  /** The reward model, if one scores the answers: a separate program, whose weights are loaded only while it scores. */
  readonly judge: RewardPass | undefined;
  /** Returns the signatures with which an evaluation writes answers and answers questions; none if it does neither. */
  readonly answerTraces: () => Readonly<Record<string, Traced>>;
  /** Returns everything that the run compiles at this level. */
  readonly program: (recompute: RecomputePolicy) => Program;
  /** Returns the signatures that train on a batch of this shape. */
  readonly passesOf: (shape: BatchShape) => readonly TrainPass[];
  /** Returns one signature of that program by itself, for the whole model or for the same plan at another depth. */
  readonly trainPass: (pass: TrainPass, recompute: RecomputePolicy, depth?: PlannedModel) => PlannedPass;
  readonly evalPass: (shape: BatchShape, depth?: PlannedModel) => PlannedPass;
  /** Returns the same plan for this model with fewer blocks; rows and elements are the first ones. */
  readonly atDepth: (blocks: number) => PlannedModel;
  /** The attachment with the budgeted number of rows or elements in each block, wherever the chosen ones are. */
  readonly evenly: Attachment;
}

export interface PlannedPass {
  readonly signature: Signature;
  readonly variables: Program['variables'];
}

/**
 * Plans the run of a recipe.
 * @throws ModelConfigError if config.json is unusable or does not match the tensors
 * @throws TargetError, SelectionError if the method cannot be attached to this model
 */
export function planRun(facts: PlanFacts): RunPlan {
  const { recipe, headers, data } = facts;
  const embeds = objectiveCatalog[recipe.task].embeds === true;
  const model =
    data?.model ?? loadModel(headers.config, { ...modelOptions(recipe), ...(embeds && { pooling: poolingOf(recipe, headers.vectors) }) });
  if (!data) checkWeights(model, headers);
  return planMethod(facts, model, recipe.method, methodSettings(recipe));
}

/** Plans as `planRun` does, with a method or settings different from the recipe's. */
export function planMethod(facts: PlanFacts, model: AnyModel, method: MethodName, settings: MethodSettings): RunPlan {
  const { recipe, headers, on, data, selection, dtype } = facts;
  const task = data?.task ?? taskOf(model, recipe, facts.seesImages);
  const fusesAttention = facts.fusesAttention ?? recipe.attention === 'fused';
  const precision = { ...precisionOf(recipe), ...(dtype && { dtype }), ...(fusesAttention && { fusesAttention }) };
  const attach = (to: AnyModel, chosen: Selection): Attachment => withTraining(methods[method].attach(to, settings, chosen), to, recipe);
  const attached = attach(model, selection ?? firstSelection(model, method, settings));
  const hostedFrom = hostFrom(recipe, on);
  const place = (own: Attachment, to: AnyModel): Attachment => withReference(recipe, placeTrained(own, to, precision, hostedFrom), to);
  const { choice } = facts;
  const placed = place(attached, model);
  const attachment = choice ? withYoung(placed, choice) : placed;
  const full = fullBatch(recipe, model, task);
  const { trainShapes, evalShapes } = data ?? { trainShapes: [full], evalShapes: [evaluationShape(recipe, task, full)] };
  const training = {
    optimizer: { ...optimizerSettings(recipe, on), ...(choice && hasYoung(attachment) && { youngAfter: choice.step }) },
    labelSmoothing: recipe.label_smoothing_factor,
    maxGradNorm: recipe.max_grad_norm,
    accumulationSteps: recipe.gradient_accumulation_steps,
    // Devices sum within a program, always in float32.
    exchangeType: recipe.devices > 1 ? 'float32' : recipe.gradient_exchange_dtype,
    parts: facts.parts ?? partsOf(recipe),
    fillingRows: fillingRowsOn(on),
  };
  const whole: PlannedModel = { model, task, attachment };
  const answerCache = data ? data.answerCache : largestCache(facts, model);
  const answerTraces = (): Readonly<Record<string, Traced>> => ({
    ...(answerCache !== undefined && model.kind === 'causal' && decodeTraces({ model, ...attachment, ...answerCache })),
    ...choiceTraces(model, attachment, data?.choiceShapes ?? [], training.parts),
  });
  const placeFirst = (to: AnyModel): Attachment => place(attach(to, firstSelection(to, method, settings)), to);
  return {
    ...whole,
    ...training,
    places: offloadPlaces(attachment, training.optimizer),
    hostFrom: hostedFrom,
    method,
    settings,
    on,
    config: headers.config,
    precision,
    attached,
    recompute: facts.recompute ?? recipe.recompute,
    trainShapes,
    evalShapes,
    answerCache,
    judge: data ? data.judge : answerCache && facts.judgeConfig && plannedJudge(recipe, facts.judgeConfig),
    answerTraces,
    program: recompute => trainProgram({ ...whole, ...training, recompute, trainShapes, evalShapes, further: answerTraces() }),
    passesOf: shape => trainPasses(whole, shape),
    trainPass: (pass, recompute, depth = whole) =>
      passOf(pass.trace({ ...depth, ...training, recompute, groupBlocks: depth === whole ? undefined : sqrtBlocks(model.blocks) })),
    evalPass: (shape, depth = whole) => passOf(traceEval({ ...depth, parts: training.parts, fillingRows: training.fillingRows }, shape)),
    atDepth: blocks => {
      const small = loadModel({ ...headers.config, num_hidden_layers: blocks }, headOf(model));
      return { model: small, task: taskOf(small, recipe, facts.seesImages), attachment: placeFirst(small) };
    },
    get evenly() {
      return selection ? placeFirst(model) : attachment;
    },
  };
}

/**
 * Returns the attachment of a run that reads the base during training, if the recipe needs that.
 * @throws TargetError for a method that changes all of it
 */
function withReference(recipe: Recipe, attachment: Attachment, model: AnyModel): Attachment {
  if (!readsBase(recipe)) return attachment;
  if (attachment.taken)
    throw new TargetError('the stored weights exclude the initial factors, so they are not the base: set preference.reference: cached');
  const { noLiveReference } = methodCatalog[attachment.method];
  if (noLiveReference !== undefined)
    throw new TargetError(`${attachment.method} ${noLiveReference}: set preference.reference: cached, or choose another method`);
  return withStarts(attachment, model);
}

/** Returns the parts of a batch; undefined if one device of one process computes the whole batch. */
const partsOf = (recipe: Recipe): ComputedParts | undefined =>
  deviceParts(recipe) ?? (recipe.processes > 1 ? { count: recipe.processes, own: 0 } : undefined);

export function passOf(traced: Traced): PlannedPass {
  const { signatures, variables } = assemble({ pass: traced });
  return { signature: required(signatures.pass, 'the signature of the pass'), variables };
}

/**
 * Returns the targets of importance and selection: the modules that the recipe's method tunes, and their rows or columns, which compete for
 * its budget.
 * @throws TargetError
 */
export function planTargets(
  recipe: Recipe,
  model: AnyModel,
): { readonly settings: MethodSettings; readonly modules: ModuleSpec[]; readonly units: readonly RowsOf[] } {
  const settings = methodSettings(recipe);
  const modules = targetsByUnit(model, settings);
  return { settings, modules, units: unitsOf(modules, settings) };
}

/** Returns the first rows or elements within a budget, for a method that chooses them. */
function firstSelection(model: AnyModel, method: MethodName, settings: MethodSettings): Selection {
  const { chooses } = methodCatalog[method];
  switch (chooses) {
    case 'rows':
      return firstUnits(model, settings);
    case 'elements':
      return firstElements(targetModules(model, settings), elementBudget(method, settings));
    case 'nothing':
      return new Map();
  }
}

/** Attaches a method as a run would; which rows it trains makes no difference to the memory. */
export const attachFirst = (model: AnyModel, method: MethodName, settings: MethodSettings): Attachment =>
  methods[method].attach(model, settings, firstSelection(model, method, settings));

/** Returns the recipe's settings of the model's head and input; labels that only the data defines are as many as in the config. */
export function modelOptions({ task, data: { image_size: size, labels } }: Recipe): ModelOptions {
  const { problem, model, reads } = objectiveCatalog[task];
  if (problem && hasOneOutput(objectiveCatalog[task])) return { labels: ['LABEL_0'], problem };
  return {
    ...((problem === 'token_label' || problem === 'multi_label' || problem === 'embedding') && { problem }),
    ...(model === 'classifier' && labels.length > 0 && { labels }),
    ...(reads === 'images' && size !== undefined && { imageSize: [size, size] }),
  };
}

/** Returns the options that give another model of the family the same head and input. */
const headOf = (model: AnyModel): ModelOptions => {
  if (model.kind === 'causal') return {};
  const { labels, problem, input, pooling } = model;
  const imageSize = chosenSize(input);
  return {
    labels,
    problem,
    ...(pooling && { pooling }),
    ...(imageSize && { imageSize }),
  };
};

/** Returns a batch of `max_length` tokens that all count: the largest that a run can encounter. */
function fullBatch(recipe: Recipe, model: AnyModel, { rowsPerSample = 1 }: Task): BatchShape {
  const batch = rowsPerSample * recipe.per_device_train_batch_size;
  const input = model.kind === 'causal' ? model : model.input;
  const tokens = 'maxPositions' in input ? Math.min(recipe.max_length, input.maxPositions) : 1;
  return { batch, tokens, targets: model.kind === 'causal' ? batch * (tokens - 1) : batch };
}

/** Returns a cache with room for prompts of `max_length` tokens and their answers; undefined if no evaluation writes answers. */
function largestCache({ recipe, seesImages }: PlanFacts, model: AnyModel): AnswerCache | undefined {
  const { eval_generation: answers, max_length: prompt, data, val_size: validation, per_device_eval_batch_size: batch } = recipe;
  const isWritten = writesAnswers(recipe) && (data.eval.length > 0 || validation > 0);
  if (!isWritten || model.kind !== 'causal') return undefined;
  const images = seesImages && model.vision !== undefined;
  return { tokens: answerRoom(prompt, answers.max_new_tokens, model), slots: Math.min(batch, answers.max_samples), images };
}

/** Returns the reward model's pass; undefined for a model that cannot score texts. */
function plannedJudge(recipe: Recipe, config: ConfigJson): RewardPass | undefined {
  const model = loadModel(config, { problem: 'regression', labels: ['LABEL_0'] });
  if (model.kind !== 'classifier' || model.input.kind !== 'tokens') return undefined;
  return rewardPassOf({ model, maxLength: model.input.maxPositions }, recipe);
}

/** Returns the evaluation batch at the length of a training batch. */
function evaluationShape(recipe: Recipe, { rowsPerSample = 1 }: Task, shape: BatchShape): BatchShape {
  const batch = rowsPerSample * recipe.per_device_eval_batch_size;
  return { batch, tokens: shape.tokens, targets: Math.ceil((shape.targets / shape.batch) * batch) };
}
