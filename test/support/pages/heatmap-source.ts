/** The facts of the heatmap page about a saved file of scores: two modules, of four rows and of six. */
import type { HeatmapSourceInfo } from '../../../trainer/protocol/view/heatmap.ts';

/** @param path for example `/a`, which is called "a" */
export const heatmapSource = (path: string, change: Partial<HeatmapSourceInfo> = {}): HeatmapSourceInfo => ({
  path,
  label: path.slice(1),
  kind: 'scores',
  sets: [{ key: '', measure: 'taylor' }],
  modules: [
    { name: 'm.layers.0.up', shape: [4, 2], rowParameters: 2 },
    { name: 'm.layers.1.up', shape: [6, 2], rowParameters: 2 },
  ],
  isPartial: false,
  ...change,
});
