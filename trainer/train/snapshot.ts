/** Saves and restores everything that training changes, trained values and optimizer state, one part at a time. */

import type { Session, VariableData } from '../engine/engine.ts';
import { type ComputedParts, Graph, type Node, type VariableSpec } from '../graph/graph.ts';
import type { Traced } from '../graph/program.ts';
import { byteSize, type HostArray } from '../graph/types.ts';
import { type Attachment, chosenOf, type Trainable, whole } from '../method/method.ts';
import { elementAt, required } from '../narrow.ts';
import { optimizerState } from './optimizer.ts';
import type { OptimizerSettings } from './optimizer-settings.ts';
import { readTrained, writeTrained } from './trained-part.ts';
import { updateGroups } from './update-group.ts';

/** One tensor of a snapshot: the trained part of a variable, or a whole optimizer variable. */
interface Part {
  readonly spec: VariableSpec;
  readonly of: Trainable;
}

/**
 * Limit for tensors that are read together: their data exists twice, here and on the host, and TensorFlow's allocator keeps its copy for
 * the rest of the run.
 */
const GROUP_BYTES = 16 * 2 ** 20;

/** The tensors of a snapshot: trainables and buffers under their own names, the optimizer state of a group under `<group>.<state>`. */
export const snapshotSpecs = (attachment: Attachment, optimizer: OptimizerSettings): VariableSpec[] =>
  partsOf(attachment, optimizer).map(part => part.spec);

/** The same tensors in the form in which checkpoints store them. */
export const storedSpecs = (attachment: Attachment, optimizer: OptimizerSettings): VariableSpec[] =>
  partsOf(attachment, optimizer).map(({ spec, of }) => ({ ...spec, shape: of.stored?.shape ?? spec.shape }));

const partsOf = ({ trainables, buffers = [] }: Attachment, optimizer: OptimizerSettings): Part[] => [
  ...updateGroups(trainables, optimizer).flatMap(group => [
    ...group.members.map(trainedPart),
    ...optimizerState(optimizer, group).map(state => ({ spec: state, of: whole(state) })),
  ]),
  ...buffers.map(buffer => ({ spec: buffer, of: whole(buffer) })),
];

const trainedPart = (trainable: Trainable): Part => ({
  spec: { name: trainable.name, shape: trainable.shape, dtype: 'float32' },
  of: trainable,
});

function groupsOf(parts: readonly Part[]): Part[][] {
  const groups: Part[][] = [];
  let room = 0;
  for (const part of parts) {
    const size = byteSize(part.spec);
    if (size > room || groups.length === 0) {
      groups.push([]);
      room = GROUP_BYTES;
    }
    groups.at(-1)?.push(part);
    room -= size;
  }
  return groups;
}

/** True for a whole variable in its own element type: the engine transfers it without a signature. */
const isWhole = ({ spec, of }: Part): boolean => !chosenOf(of) && !of.master && of.variable.dtype === spec.dtype;

/** The variables that a snapshot contains as a whole. */
export const wholeParts = (attachment: Attachment, optimizer: OptimizerSettings): VariableSpec[] =>
  partsOf(attachment, optimizer)
    .filter(isWhole)
    .map(({ of }) => of.variable);

const snapshotName = (group: number): string => `snapshot/${group}`;
const restoreName = (group: number): string => `restore/${group}`;

/** The signatures that `readSnapshot` and `writeSnapshot` run: for tensors that are a part of their variable, or rounded in it. */
export function snapshotTraces(attachment: Attachment, optimizer: OptimizerSettings, computed?: ComputedParts): Record<string, Traced> {
  const traces: Record<string, Traced> = {};
  groupsOf(partsOf(attachment, optimizer)).forEach((group, i) => {
    const placed = group.filter(part => !isWhole(part));
    if (placed.length === 0) return;
    traces[snapshotName(i)] = traceRead(placed);
    traces[restoreName(i)] = traceWrite(placed, computed);
  });
  return traces;
}

function traceRead(parts: readonly Part[]): Traced {
  const graph = new Graph();
  const outputs: Record<string, Node> = {};
  for (const { spec, of } of parts) outputs[spec.name] = readTrained(graph, of);
  return { graph, outputs, effects: [] };
}

function traceWrite(parts: readonly Part[], computed: ComputedParts | undefined): Traced {
  const graph = new Graph(computed);
  const effects = parts.map(({ spec, of }) => writeTrained(graph, of, graph.feed(spec.name, spec.shape, spec.dtype)));
  return { graph, outputs: { done: graph.scalar(1) }, effects };
}

/** Yields everything that training has changed, tensor by tensor, or only the tensors with the given names. */
export async function* readSnapshot(
  session: Session,
  attachment: Attachment,
  optimizer: OptimizerSettings,
  isWanted: (name: string) => boolean = () => true,
): AsyncGenerator<{ readonly spec: VariableSpec; readonly data: HostArray }> {
  for (const [i, all] of groupsOf(partsOf(attachment, optimizer)).entries()) {
    const group = all.filter(({ spec }) => isWanted(spec.name));
    const whole = group.filter(isWhole);
    const read = whole.length > 0 ? await session.readAll(whole.map(({ of }) => of.variable.name)) : [];
    const values = new Map(whole.map(({ spec }, k) => [spec.name, elementAt(read, k)]));
    const placed = whole.length < group.length ? await session.run(snapshotName(i), {}) : {};
    for (const { spec } of group) yield { spec, data: values.get(spec.name) ?? required(placed[spec.name], spec.name) };
  }
}

/** Restores a snapshot; `read` returns each tensor by name. */
export async function writeSnapshot(
  session: Session,
  attachment: Attachment,
  optimizer: OptimizerSettings,
  read: (name: string) => Promise<HostArray>,
): Promise<void> {
  for (const [i, group] of groupsOf(partsOf(attachment, optimizer)).entries()) {
    const feeds: Record<string, HostArray> = {};
    const wholes: VariableData[] = [];
    for (const part of group) {
      const data = await read(part.spec.name);
      if (isWhole(part)) wholes.push({ name: part.of.variable.name, data });
      else feeds[part.spec.name] = data;
    }
    await session.load(wholes);
    if (Object.keys(feeds).length > 0) await session.run(restoreName(i), feeds);
  }
}
