/** The memory of a pass that moves weights to score them (`importance.measure: movement`), from the exact program that it runs. */
import { movesWeights } from '../../catalog/measures.ts';
import { methodCatalog } from '../../catalog/methods.ts';
import { singleSteps } from '../../graph/fusion/step.ts';
import { liveness } from '../../graph/liveness.ts';
import { byteSize } from '../../graph/types.ts';
import { MOVEMENT_STEP, movementProgram } from '../../importance/movement.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { planTargets, type RunPlan } from '../run-plan.ts';
import { bufferRules, poolTableOf } from './engine-memory.ts';
import { engineOverheadBytes } from './engine-overhead.ts';

/** Returns the bytes of one process in the pass, which ends before training starts; undefined if a recipe has no such pass. */
export function priceMovement(recipe: Recipe, { model, task, trainShapes, on }: RunPlan): number | undefined {
  const { measure, scores, batch_size: samples } = recipe.importance;
  if (methodCatalog[recipe.method].chooses !== 'rows' || scores !== undefined || !movesWeights(measure)) return undefined;
  const { modules } = planTargets(recipe, model);
  const shapes = trainShapes.map(shape => {
    const batch = samples * (task.rowsPerSample ?? 1);
    return { ...shape, batch, targets: Math.ceil((shape.targets * batch) / shape.batch) };
  });
  const recompute = recipe.recompute === 'auto' ? 'cheap' : recipe.recompute;
  const { signatures, variables } = movementProgram({ task, modules, shapes, recompute, stepSize: MOVEMENT_STEP });
  const rules = bufferRules(on.engine, { variables });
  const passes = Object.values(signatures);
  const activationBytes = Math.max(
    ...passes.map(pass => liveness(pass, singleSteps(pass), rules).bytes.reduce((most, each) => Math.max(most, each), 0)),
  );
  const sizes = variables.map(spec => rules.bytes(spec));
  const variableBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const overhead = engineOverheadBytes({
    ...on,
    nodes: passes.reduce((sum, { schedule }) => sum + schedule.length, 0),
    compilerBytes: 0,
    convolutions: 0,
    variableBytes,
    tableBytes: poolTableOf(on, sizes),
    gradientBytes: Math.max(...sizes),
    activationBytes,
    isCounted: false,
    feedBytes: passes.reduce((sum, { feeds }) => sum + feeds.reduce((all, { attrs }) => all + byteSize(attrs.spec), 0), 0),
    vocabularySize: model.kind === 'causal' ? model.vocabularySize : 0,
  });
  return variableBytes + activationBytes + overhead;
}
