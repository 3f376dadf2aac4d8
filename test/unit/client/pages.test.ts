/** Tests which runs each page shows; a page closes when its runs are deleted. */
import { expect, test } from 'vitest';
import { pageDefinitions } from '../../../client/pages/pages.ts';

const runsOf = (kind: string, state: Readonly<Record<string, unknown>>) => pageDefinitions.find(each => each.kind === kind)?.runsOf(state);

test.each([
  ['run', { runDir: '/runs/a' }, ['/runs/a']],
  ['compare', { runDirs: ['/runs/a', '/runs/b'] }, ['/runs/a', '/runs/b']],
  ['heatmap', { sources: [{ path: '/runs/a', label: 'a' }] }, ['/runs/a']],
  ['try', { adapter: '/runs/a', model: 'm' }, ['/runs/a']],
  ['try', { model: 'm' }, []],
  ['data', { recipe: 'file:///r.rowtune.yaml' }, []],
  ['compare', { runDirs: 'damaged' }, []],
  ['heatmap', { sources: [null] }, [undefined]],
])('%s shows the runs of its state', (kind, state, runs) => expect(runsOf(kind, state)).toEqual(runs));
