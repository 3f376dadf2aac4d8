/** Entry of the run page: connects it to its host. */
import type { RunFromPage, RunToPage } from '../trainer/protocol/view/run.ts';
import { type KeptRunPage, mountRun } from './run/run-page.ts';
import { acquireEditor } from './shared/editor.ts';
import { addMain } from './shared/element.ts';

const editor = acquireEditor<RunFromPage, KeptRunPage>();
const page = mountRun(addMain(), editor);
addEventListener('message', (event: MessageEvent<RunToPage>) => page.receive(event.data));
editor.post({ type: 'ready' });
