/**
 * The second choice of rows, by the scores of the partly tuned model. It is made when a run continues from the checkpoint of that update. A
 * run that is killed at that time makes it again with the same result, because it depends only on the checkpoint, the base and the samples.
 */
import { mergedWeights } from '../../adapter/merge.ts';
import { measureCatalog } from '../../catalog/measures.ts';
import { methodCatalog } from '../../catalog/methods.ts';
import type { HostArray } from '../../graph/types.ts';
import { elementCount, float32Of } from '../../graph/types.ts';
import type { Attachment, Trainable } from '../../method/method.ts';
import type { SecondChoice } from '../../method/young-rows.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import { withInitial } from '../../model/weight-stream.ts';
import { required, valueFor } from '../../narrow.ts';
import { type ComputeScoresParams, chooseRows } from '../../plan/choices/choose-rows.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import type { Checkpoint } from '../../run/checkpoint/load-checkpoint.ts';
import type { Selection } from '../../selection.ts';
import { optimizerState } from '../../train/optimizer.ts';
import type { OptimizerSettings } from '../../train/optimizer-settings.ts';
import { stepsOf } from '../../train/schedule.ts';
import { type UpdateGroup, updateGroups } from '../../train/update-group.ts';

/** The update after which rows are chosen again; infinite if there is no second choice, or it was already made. */
export function choiceAfter(
  { recipe, choice }: { readonly recipe: Recipe; readonly choice: SecondChoice | undefined },
  totalSteps: number,
): number {
  const { choose_again_after: asked, measure } = recipe.importance;
  if (asked === undefined || choice || methodCatalog[recipe.method].chooses !== 'rows' || measureCatalog[measure].needs === 'nothing')
    return Number.POSITIVE_INFINITY;
  const step = stepsOf(asked, totalSteps);
  return step >= 1 && step < totalSteps ? step : Number.POSITIVE_INFINITY;
}

/** The part of a run's state that says whether a second choice is due, and which one was made. */
export const afterChoice = ({ choice }: { readonly choice: SecondChoice | undefined }) => ({
  choiceDue: undefined,
  choice: choice && { step: choice.step, kept: Object.fromEntries(Object.entries(choice.kept).map(([name, rows]) => [name, [...rows]])) },
});

/** Scores the tuned model, and chooses rows. @throws as `chooseRows` does */
export async function chooseAgain(
  params: ComputeScoresParams,
  { adapter, state }: Checkpoint,
): Promise<{ readonly selection: Selection; readonly choice: SecondChoice }> {
  const { recipe, base, setup, job } = params;
  const before = adapter.description.rows;
  const importance = { ...recipe.importance, scores: undefined };
  const selection = await chooseRows({
    ...params,
    recipe: { ...recipe, importance },
    trained: mergedWeights(withInitial(setup?.model ?? base.model, base.folder.weights), adapter),
  });
  const kept: Record<string, number[]> = {};
  for (const [module, rows] of selection) {
    const trained = new Set(before.get(module));
    kept[module] = [...rows].filter(row => trained.has(row));
  }
  const count = (lists: Iterable<{ readonly length: number }>): number => [...lists].reduce((sum, { length }) => sum + length, 0);
  job.log(
    'info',
    `rows are chosen again after update ${state.step}: ${count(Object.values(kept))} of ${count(selection.values())} stay, the dropped ones are reset to the base`,
  );
  return { selection, choice: { step: state.step, kept } };
}

export interface MoveParams<C extends Pick<Checkpoint, 'read' | 'check'>> {
  readonly checkpoint: C;
  /** The rows of the checkpoint; `after` has the rows that are trained from now on. */
  readonly before: Attachment;
  readonly after: Attachment;
  readonly optimizer: OptimizerSettings;
  /** The base's weights, with the start values of a new head; added rows start from these. */
  readonly weights: WeightSource;
}

/**
 * The checkpoint as if its rows had been those of `after`. Rows that stay keep their values and moments; added rows start with the base's
 * values and moments of 0; dropped rows are removed. Everything else is unchanged.
 */
export function movedCheckpoint<C extends Pick<Checkpoint, 'read' | 'check'>>({
  checkpoint,
  before,
  after,
  optimizer,
  weights,
}: MoveParams<C>): C {
  const oldOf = new Map(before.trainables.map(trainable => [trainable.name, trainable]));
  const trained = new Map(after.trainables.flatMap(trainable => (trainable.rows ? [[trainable.name, trainable] as const] : [])));
  const states = stateTensors(after, optimizer);
  const oldStates = stateTensors(before, optimizer);
  const stateOfMember = new Map(
    [...oldStates].flatMap(([name, { group, kind }]) =>
      placesIn(group).map(({ member, begin }) => [`${member.name} ${kind}`, { name, begin, member }] as const),
    ),
  );
  const read = async (name: string): Promise<HostArray> => {
    const own = trained.get(name);
    if (own) return movedRows(own, valueFor(oldOf, name), float32Of(await checkpoint.read(name)), await weights.readFloat32(name));
    const state = states.get(name);
    return state ? movedState(state, stateOfMember, old => checkpoint.read(old)) : checkpoint.read(name);
  };
  return { ...checkpoint, read, check: () => checkpoint.check(before, optimizer) };
}

interface StateTensor {
  readonly group: UpdateGroup;
  /** Index among the group's tensors. */
  readonly kind: number;
}

const stateTensors = ({ trainables }: Attachment, optimizer: OptimizerSettings): Map<string, StateTensor> =>
  new Map(
    updateGroups(trainables, optimizer).flatMap(group =>
      optimizerState(optimizer, group).map(({ name }, kind) => [name, { group, kind }] as const),
    ),
  );

/** The members of a group, each with its offset in the group's tensors. */
function placesIn({ members }: UpdateGroup): { readonly member: Trainable; readonly begin: number }[] {
  let at = 0;
  return members.map(member => {
    const begin = at;
    at += elementCount(member.shape);
    return { member, begin };
  });
}

const rowsOf = ({ rows, name }: Trainable): Int32Array => required(rows, `the trained rows of ${name}`).indices;

/**
 * Copies each row that was trained before to its position among the rows that are trained now; calls `others` with the position and index
 * of every other row.
 */
function copyRows(
  { after, before, width }: { readonly after: Trainable; readonly before: Trainable; readonly width: number },
  old: Float32Array,
  into: Float32Array,
  others?: (place: number, row: number) => void,
): void {
  const placeOf = new Map([...rowsOf(before)].map((row, i) => [row, i]));
  for (const [i, row] of rowsOf(after).entries()) {
    const place = placeOf.get(row);
    if (place === undefined) others?.(i, row);
    else into.set(old.subarray(place * width, (place + 1) * width), i * width);
  }
}

/** The values of a parameter's new rows. @param old [old rows, …] @param base the whole parameter */
function movedRows(after: Trainable, before: Trainable, old: Float32Array, base: Float32Array): Float32Array {
  const width = old.length / rowsOf(before).length;
  const moved = new Float32Array(rowsOf(after).length * width);
  copyRows({ after, before, width }, old, moved, (place, row) => moved.set(base.subarray(row * width, (row + 1) * width), place * width));
  return moved;
}

async function movedState(
  { group, kind }: StateTensor,
  stateOfMember: ReadonlyMap<string, { readonly name: string; readonly begin: number; readonly member: Trainable }>,
  read: (name: string) => Promise<HostArray>,
): Promise<Float32Array> {
  const moved = new Float32Array(elementCount(group.shape));
  // Most members of a group had a previous version.
  const tensors = new Map<string, Float32Array>();
  for (const { member, begin } of placesIn(group)) {
    const from = valueFor(stateOfMember, `${member.name} ${kind}`);
    const tensor = tensors.get(from.name) ?? float32Of(await read(from.name));
    tensors.set(from.name, tensor);
    const [old, into] = [tensor.subarray(from.begin), moved.subarray(begin)];
    if (member.rows) copyRows({ after: member, before: from.member, width: elementCount(member.shape.slice(1)) }, old, into);
    else into.set(old.subarray(0, elementCount(member.shape)));
  }
  return moved;
}
