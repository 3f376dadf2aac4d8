/** A teacher's programs: the hidden states of a batch's targets, and the logits of some of them. */
import { Graph } from '../../graph/graph.ts';
import { assemble, type Program, type Traced } from '../../graph/program.ts';
import { targetChunk } from '../../model/layer/loss/cross-entropy.ts';
import { headLogits, headNodes } from '../../model/layer/loss/head-logits.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import { Tracer } from '../../model/tracer.ts';
import { type BatchShape, shapeName } from '../../train/task.ts';
import type { untouchedIn } from '../untouched-in.ts';

type Attachment = ReturnType<typeof untouchedIn>;

/** Feeds: `hidden` [chunk, features]. Outputs `logits` [chunk, vocabulary], divided by the temperature, and `logSum` [chunk]. */
export const HEAD = 'head';
/** Feeds: `ids` int32 [batch, tokens] and `targetPositions` int32 [targets]. Outputs `hidden` [targets, features]. */
export const hiddenSignature = (shape: BatchShape): string => `hidden/${shapeName(shape)}`;

export interface TeacherProgramParams {
  readonly model: CausalModel;
  readonly attachment: Attachment;
  readonly shapes: readonly BatchShape[];
  /** Number of tokens that the student knows too, from the first on. */
  readonly vocabulary: number;
  readonly temperature: number;
}

export interface TeacherProgram {
  readonly program: Program;
  /** Number of targets whose logits are in memory at once. */
  readonly chunk: number;
}

export function teacherProgram({ model, attachment, shapes, ...head }: TeacherProgramParams): TeacherProgram {
  const chunk = Math.max(...shapes.map(({ targets }) => Math.min(targets, targetChunk(model.head.weight.shape, targets))));
  const hidden = shapes.map(shape => [hiddenSignature(shape), traceHidden(model, attachment, shape)] as const);
  const program = assemble({ ...Object.fromEntries(hidden), [HEAD]: traceHead(model, attachment, { ...head, chunk }) });
  return { program, chunk };
}

function traceHidden(model: CausalModel, { storage }: Attachment, { batch, tokens, targets }: BatchShape): Traced {
  const graph = new Graph();
  const ids = graph.feed('ids', [batch, tokens], 'int32');
  const targetPositions = graph.feed('targetPositions', [targets], 'int32');
  // Right padding needs no mask: a causal query never attends to later keys.
  const hidden = model.hidden(new Tracer({ graph, storage }), { ids, mask: { kind: 'causal' } });
  return { graph, outputs: { hidden: graph.cast(graph.gather(hidden, targetPositions), 'float32') }, effects: [] };
}

interface HeadShape extends Pick<TeacherProgramParams, 'vocabulary' | 'temperature'> {
  readonly chunk: number;
}

function traceHead(model: CausalModel, { storage }: Attachment, { chunk, vocabulary, temperature }: HeadShape): Traced {
  const graph = new Graph();
  const head = headNodes(new Tracer({ graph, storage }), model);
  const hidden = graph.feed('hidden', [chunk, model.hiddenSize]);
  const all = headLogits(graph, model, hidden, head);
  const logits = graph.mul(graph.sliceAxis(all, 1, 0, vocabulary), 1 / temperature);
  const logSum = graph.sub(graph.max(logits, [-1]), graph.log(graph.max(graph.softmax(logits), [-1])));
  return { graph, outputs: { logits, logSum }, effects: [] };
}
