/** The tasks that a model can be tuned for, from its headers alone. */
import {
  comparesTexts,
  type ObjectiveName,
  objectiveCatalog,
  objectiveNames,
  objectivesOf,
  objectivesOfScoreHead,
} from '../../catalog/objectives.ts';
import { readModelHeaders } from '../../hub/open-model.ts';
import { loadModel } from '../../model/load-model.ts';
import type { AnyModel } from '../../model/model-spec.ts';

/** The tasks of a model; the first one is the suggested one. */
export function tasksOf(model: AnyModel): readonly ObjectiveName[] {
  if (model.kind === 'causal')
    return objectivesOf('causal', 'texts').filter(
      name => model.takesScoreHead || objectiveCatalog[name].model === 'causal' || comparesTexts(name),
    );
  if (model.input.kind === 'image') return objectivesOf('classifier', 'images');
  if (model.problem === 'embedding') return objectiveNames.filter(comparesTexts);
  return model.encoder ? objectivesOf('classifier', 'texts') : objectivesOfScoreHead;
}

/** Reads the tasks of a model. @throws ModelFileError if the headers cannot be read, or the model is not supported */
export async function tasksOfModel(path: string): Promise<readonly ObjectiveName[]> {
  const { config } = await readModelHeaders(path);
  return tasksOf(loadModel(config));
}
