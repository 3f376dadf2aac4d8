/** The problem of a model that cannot be opened. */
import type { ModelFacts } from '../facts/model-facts.ts';
import type { Report } from './fact-report.ts';

/** @param path of the setting that names it */
export function unusable(model: Exclude<ModelFacts, { kind: 'ready' | 'not-downloaded' }>, written: string, path: Report['path']): Report {
  if (model.kind === 'missing') {
    const hint = model.suggestion === undefined ? '' : `; did you mean '${model.suggestion}'?`;
    const message = `there is no model at '${written}', and it is not a hub name${hint}`;
    return { code: 'model-not-found', path, message, replaceBy: model.suggestion };
  }
  const codes = { unsupported: 'unsupported-model', unreadable: 'unreadable-model', mismatch: 'model-mismatch' } as const;
  return { code: codes[model.kind], path, message: model.reason };
}
