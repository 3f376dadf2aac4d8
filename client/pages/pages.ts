/** The pages of the editor: what each is called, and the host that serves it, loaded with the first page of its kind. */
import type { PageDefinition } from './page-panel.ts';

export const pageDefinitions: readonly PageDefinition[] = [
  { kind: 'run', title: 'Run', icon: 'run.svg', connect: async () => (await (await import('../later.ts')).runHost()).connectRun },
  {
    kind: 'compare',
    title: 'Compare Runs',
    icon: 'compare.svg',
    connect: async () => (await (await import('../later.ts')).compareHost()).connectCompare,
  },
  {
    kind: 'heatmap',
    title: 'Heatmap',
    icon: 'heatmap.svg',
    connect: async () => (await (await import('../later.ts')).heatmapHost()).connectHeatmap,
  },
  {
    kind: 'try',
    title: 'Try the Model',
    icon: 'try.svg',
    identity: ({ model, revision, adapter }) => [model, revision, adapter],
    connect: async () => (await (await import('../later.ts')).tryHost()).connectTry,
  },
];
