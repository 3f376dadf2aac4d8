/** Problems of the names of classes that data files declare. */
import { differentNames } from '../../data/class-names/declared-labels.ts';
import type { RecipeView } from '../recipe-view.ts';
import type { Report } from './fact-report.ts';

export function* classNameProblems({ data, values }: RecipeView): Generator<Report> {
  const { labels, train } = values.data;
  const reported = new Set<string>();
  const first = data.find(({ declared }) => declared !== undefined);
  for (const [i, { nameWarnings = [], declared, full }] of data.entries()) {
    const path = i < train.length ? ['data', 'train', i] : ['data', 'eval', i - train.length];
    for (const message of nameWarnings.filter(each => !reported.has(each))) {
      reported.add(message);
      yield { code: 'class-names', severity: 'warning', path: labels.length > 0 ? ['data', 'labels'] : path, message };
    }
    const different = labels.length === 0 && declared && first?.declared ? differentNames(full, declared, first.declared) : undefined;
    if (different) yield { code: 'class-names', path, message: `${different.problem}. ${different.advice}` };
  }
}
