/** The memory of a teacher's pass, from the exact programs that it runs before the model is loaded. */
import { byteSize } from '../../graph/types.ts';
import { loadModel } from '../../model/load-model.ts';
import { teacherProgram } from '../../objective/distillation/teacher-program.ts';
import { untouchedIn } from '../../objective/untouched-in.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { type ComputesOn, hostFrom, precisionOf } from '../../train/recipe-settings.ts';
import { bufferRules, poolTableOf } from './engine-memory.ts';
import { engineOverheadBytes } from './engine-overhead.ts';
import { priceReads } from './hosted-weights.ts';

/** Returns the bytes of one process with the teacher loaded; undefined for a model that cannot be a teacher. */
export function priceTeacher(recipe: Recipe, config: Parameters<typeof loadModel>[0], on: ComputesOn): number | undefined {
  const model = loadModel(config);
  if (model.kind !== 'causal') return undefined;
  const batch = recipe.per_device_eval_batch_size;
  const tokens = Math.min(recipe.max_length, model.maxPositions);
  const attachment = untouchedIn(model, precisionOf(recipe), hostFrom(recipe, on));
  const shapes = [{ batch, tokens, targets: batch * (tokens - 1) }];
  const { vocabularySize: vocabulary } = model;
  const { program } = teacherProgram({ model, attachment, shapes, vocabulary, temperature: recipe.distillation.temperature });
  const { signatures, variables } = program;
  const rules = bufferRules(on.engine, { variables });
  const { sizes, most: activationBytes } = priceReads(program, attachment, { ...on, rules });
  const variableBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const overhead = engineOverheadBytes({
    ...on,
    nodes: Object.values(signatures).reduce((sum, { schedule }) => sum + schedule.length, 0),
    compilerBytes: 0,
    convolutions: 0,
    variableBytes,
    tableBytes: poolTableOf(on, sizes),
    gradientBytes: 0,
    activationBytes,
    isCounted: false,
    feedBytes: Object.values(signatures).reduce(
      (sum, { feeds }) => sum + feeds.reduce((all, { attrs }) => all + byteSize(attrs.spec), 0),
      0,
    ),
    vocabularySize: vocabulary,
  });
  return variableBytes + activationBytes + overhead;
}
