/** The view *Models* as plain data: models in the cache and the workspace, with family, size and dtype. */

import type { ModelInfo } from '../../trainer/protocol/messages/rpc-messages.ts';
import { distinctNames } from '../../trainer/protocol/run/run-names.ts';
import { byteSize, parameterCount } from '../../trainer/protocol/text/format.ts';

export interface ModelItem {
  readonly id: string;
  readonly label: string;
  readonly description: string;
  readonly tooltip: readonly string[];
  readonly icon: string;
  /** The value for a recipe's `model`: a hub name, or a path. */
  readonly model: string;
  readonly path: string;
  readonly isBroken: boolean;
  /** Kinds of items; menus match them with `viewItem`. */
  readonly flags: readonly ('model' | 'answers' | 'broken')[];
}

export interface ModelGroup {
  readonly name: string;
  readonly items: readonly ModelItem[];
}

/** Groups the models; those of the workspace come first, because they are fewer and in use. */
export function modelTree(models: readonly ModelInfo[]): readonly ModelGroup[] {
  const labelOf = modelLabels(models);
  const group = (name: string, source: ModelInfo['source']): ModelGroup => ({
    name,
    items: models
      .filter(model => model.source === source)
      .map(model => modelItem(model, labelOf(model)))
      .sort((a, b) => a.label.localeCompare(b.label)),
  });
  return [group('Workspace', 'folder'), group('Exported from Runs', 'run'), group('Cache', 'cache')].filter(
    ({ items }) => items.length > 0,
  );
}

/** Returns the label of each model: its name, or the end of its path if several have that name, as in several folders of a workspace. */
export function modelLabels(models: readonly ModelInfo[]): (model: ModelInfo) => string {
  return ({ name, path }) => {
    const alike = models.filter(other => other.name === name).map(other => other.path);
    return alike.length < 2 ? name : (distinctNames(alike).get(path) ?? name);
  };
}

function modelItem(model: ModelInfo, label: string): ModelItem {
  const { name, path, source, problem } = model;
  const facts = modelFacts(model);
  return {
    id: path,
    label,
    description: problem === undefined ? facts : 'cannot be read',
    tooltip: [label, problem ?? facts, path],
    icon: problem === undefined ? 'package' : 'warning',
    model: source === 'cache' ? name : path,
    path,
    isBroken: problem !== undefined,
    flags: problem !== undefined ? ['model', 'broken'] : model.answersText === false ? ['model'] : ['model', 'answers'],
  };
}

/** True if a menu passed an item of this view. */
export const isModelItem = (value: unknown): value is ModelItem =>
  typeof value === 'object' && value !== null && 'model' in value && 'isBroken' in value;

/** "llama · 135M parameters · 269 MB · BF16" */
export const modelFacts = ({ family, parameters, weightBytes, dtypes }: ModelInfo): string =>
  [
    family,
    parameters === undefined ? undefined : `${parameterCount(parameters)} parameters`,
    weightBytes === undefined ? undefined : byteSize(weightBytes),
    dtypes?.join(', '),
  ]
    .filter(text => text !== undefined && text !== '')
    .join(' · ');
