/** The memory of a planned run on a card that need not be there: its training step, compiled by the card's own compiler. */
import type { CardName } from '../catalog/cards.ts';
import type { CardCompiler, CardProgramMemory } from '../engine/pjrt/card-compiler.ts';
import { lowerSignature } from '../engine/pjrt/lower.ts';
import type { RecomputePolicy } from '../graph/recompute.ts';
import { byteSize } from '../graph/types.ts';
import type { PlannedPass, RunPlan } from '../plan/run-plan.ts';
import type { BatchShape } from '../train/task.ts';

/** Bytes of a compiled pass. */
export interface CompiledPass extends CardProgramMemory {
  /** From the cache. */
  readonly found: boolean;
  /** The variables that the pass changes, each of which should be updated where it lies. */
  readonly changedBytes: number;
  /** Everything on the card while the pass runs: arguments, results that have no argument's place, temporaries, code. */
  readonly totalBytes: number;
}

/** The pass of the largest batch. */
const largest = (shapes: readonly BatchShape[]): BatchShape =>
  shapes.reduce((most, shape) => (shape.batch * shape.tokens > most.batch * most.tokens ? shape : most));

/** @throws EngineError with the compiler's reason */
export const compileTraining = (plan: RunPlan, recompute: RecomputePolicy, card: CardName, compiler: CardCompiler): Promise<CompiledPass> =>
  compilePass(plan.trainPass(largest(plan.trainShapes), recompute), card, compiler);

export async function compilePass({ signature, variables }: PlannedPass, card: CardName, compiler: CardCompiler): Promise<CompiledPass> {
  const specs = new Map(variables.map(spec => [spec.name, spec]));
  const lowered = lowerSignature(signature, specs);
  const memory = await compiler.compile(card, lowered);
  const changedBytes = lowered.changed.reduce((sum, name) => sum + byteSize(specs.get(name) ?? { shape: [0], dtype: 'bool' }), 0);
  const totalBytes = memory.arguments + memory.outputs - memory.aliased + memory.temporaries + memory.code;
  return { ...memory, changedBytes, totalBytes };
}
