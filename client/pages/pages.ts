/** The pages of the editor: the title of each, and its host, which is loaded with the first page of its kind. */
import type { PageDefinition } from './page-panel.ts';

/** Reads a list from a state, which is not validated after a reload. */
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

export const pageDefinitions: readonly PageDefinition[] = [
  {
    kind: 'run',
    title: 'Run',
    icon: 'run.svg',
    runsOf: ({ runDir }) => [runDir],
    connect: async () => (await (await import('../lazy-modules.ts')).runHost()).connectRun,
  },
  {
    kind: 'compare',
    title: 'Compare Runs',
    icon: 'compare.svg',
    runsOf: ({ runDirs }) => listOf(runDirs),
    connect: async () => (await (await import('../lazy-modules.ts')).compareHost()).connectCompare,
  },
  {
    kind: 'heatmap',
    title: 'Heatmap',
    icon: 'heatmap.svg',
    runsOf: ({ sources }) =>
      listOf(sources).map(source => (typeof source === 'object' && source !== null && 'path' in source ? source.path : undefined)),
    connect: async () => (await (await import('../lazy-modules.ts')).heatmapHost()).connectHeatmap,
  },
  {
    kind: 'data',
    title: 'Data',
    icon: 'data.svg',
    runsOf: () => [],
    identity: ({ recipe }) => recipe,
    connect: async () => (await (await import('../lazy-modules.ts')).dataHost()).connectData,
  },
  {
    kind: 'try',
    title: 'Try the Model',
    icon: 'try.svg',
    runsOf: ({ adapter }) => (adapter === undefined ? [] : [adapter]),
    identity: ({ model, revision, adapter }) => [model, revision, adapter],
    connect: async () => (await (await import('../lazy-modules.ts')).tryHost()).connectTry,
  },
];
