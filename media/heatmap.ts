/** Entry of the heatmap page: connects it to its host. */
import type { HeatmapFromPage, HeatmapToPage } from '../trainer/protocol/view/heatmap.ts';
import { mountHeatmap } from './heatmap/page.ts';
import type { HeatmapViewState } from './heatmap/view-state.ts';
import { acquireEditor } from './shared/editor.ts';

const editor = acquireEditor<HeatmapFromPage, HeatmapViewState>();
const page = mountHeatmap(document.body, editor);
addEventListener('message', (event: MessageEvent<HeatmapToPage>) => page.receive(event.data));
editor.post({ type: 'ready' });
