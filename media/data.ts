/** Entry of the data page: connects it to its host. */
import type { DataFromPage, DataToPage } from '../trainer/protocol/view/data.ts';
import { type KeptDataPage, mountData } from './data/data-page.ts';
import { acquireEditor } from './shared/editor.ts';
import { addMain } from './shared/element.ts';

const editor = acquireEditor<DataFromPage, KeptDataPage>();
const page = mountData(addMain(), editor);
addEventListener('message', (event: MessageEvent<DataToPage>) => page.receive(event.data));
editor.post({ type: 'ready' });
