/** Entry of the Compare page: connects it to its host. */
import type { CompareFromPage, CompareToPage } from '../trainer/protocol/view/compare.ts';
import { type KeptComparePage, mountCompare } from './compare/compare-page.ts';
import { acquireEditor } from './shared/editor.ts';
import { addMain } from './shared/element.ts';

const editor = acquireEditor<CompareFromPage, KeptComparePage>();
const page = mountCompare(addMain(), editor);
addEventListener('message', (event: MessageEvent<CompareToPage>) => page.receive(event.data));
editor.post({ type: 'ready' });
