/** What a method of tuning is: where it puts trained numbers, what it does in the forward pass, and how it merges. */
import type { VariableSpec } from '../graph/graph.ts';
import type { VariableData } from '../graph/program.ts';
import type { Model, ModelPart } from '../model/model-spec.ts';
import type { LinearHook } from '../model/tracer.ts';
import type { Budget, Selection } from '../selection.ts';

export type MethodName = 'spsft' | 'lora' | 'full';

/** One block of trained numbers. Its optimizer state has the same shape. */
export interface Trainable {
  /** Unique; names the tensor in checkpoints and adapters. */
  readonly name: string;
  /** The variable that holds the numbers. */
  readonly variable: VariableSpec;
  /** Only these rows of the variable are trained, in place; undefined: all of it. */
  readonly rows?: { readonly variable: VariableSpec; readonly indices: Int32Array };
  /** Trainables of one batch have rows of one length and get their gradients close together, so one update serves them all. */
  readonly batch?: string;
  /** Shape of what is trained: [r, …] with rows, else the variable's. */
  readonly shape: readonly number[];
}

export interface Attachment {
  readonly method: MethodName;
  readonly trainables: readonly Trainable[];
  readonly linearHook?: LinearHook;
  /** Start values of the variables that the method adds to the model's own. */
  readonly initial: () => Iterable<VariableData>;
}

export interface MethodSettings {
  readonly targetModules: readonly string[];
  readonly freeze: readonly ModelPart[];
  readonly budget: Budget;
  readonly loraAlpha: number;
  readonly loraDropout: number;
  readonly seed: number;
}

/** Brings a method and a model together; `selection` holds the rows for the methods that choose them. */
export type Attach = (model: Model, settings: MethodSettings, selection: Selection) => Attachment;

export const trainableCount = (attachment: Attachment): number =>
  attachment.trainables.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 1), 0);
