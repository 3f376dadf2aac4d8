/** Entry of the Try page: connects it to its host. */
import type { TryFromPage, TryToPage } from '../trainer/protocol/view/try.ts';
import { acquireEditor } from './shared/editor.ts';
import { addMain } from './shared/element.ts';
import { type KeptTryPage, mountTry } from './try/try-page.ts';

const editor = acquireEditor<TryFromPage, KeptTryPage>();
const page = mountTry(addMain(), editor);
addEventListener('message', (event: MessageEvent<TryToPage>) => page.receive(event.data));
editor.post({ type: 'ready' });
