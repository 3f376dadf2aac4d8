/** The problem of a model that cannot be opened, or not yet. */
import type { ModelFacts } from '../facts/model-facts.ts';
import type { Report } from './fact-report.ts';

/** @param path the setting that names the model */
export function unusable(model: Exclude<ModelFacts, { kind: 'ready' }>, written: string, path: Report['path']): Report {
  if (model.kind === 'not-downloaded') {
    const { suggestion } = model;
    const unchecked =
      'so its layers, its chat template and the memory of a run are not checked here. A run downloads it; an estimate of memory reads its headers alone';
    const hint = suggestion === undefined ? '' : `. For the model next to the recipe, write '${suggestion}'`;
    return {
      code: 'not-downloaded',
      severity: 'info',
      path,
      message: `'${written}' is not downloaded, ${unchecked}${hint}`,
      replaceBy: suggestion,
    };
  }
  if (model.kind === 'missing') {
    const hint = model.suggestion === undefined ? '' : `; did you mean '${model.suggestion}'?`;
    const message = `there is no model at '${written}', and it is not a hub name${hint}`;
    return { code: 'model-not-found', path, message, replaceBy: model.suggestion };
  }
  const codes = { unsupported: 'unsupported-model', unreadable: 'unreadable-model', mismatch: 'model-mismatch' } as const;
  return { code: codes[model.kind], path, message: model.reason };
}
