/** The images of the next question, and the ways to add some: a button, pasting and dropping. */
import { PROMPT_IMAGE_TYPES } from '../../trainer/protocol/prompt-images.ts';
import { element, fill, setText } from '../shared/element.ts';
import { pictureElement } from './round-view.ts';
import type { TryState } from './try-state.ts';

type Attach = (files: readonly File[]) => void;

export function createImageTray({ attach, remove }: { readonly attach: Attach; readonly remove: (place: number) => void }) {
  const input = element('input', {
    type: 'file',
    multiple: true,
    accept: PROMPT_IMAGE_TYPES.join(),
    hidden: true,
    onchange: () => {
      attach([...(input.files ?? [])]);
      // The same file can be chosen again.
      input.value = '';
    },
  });
  const title = 'You can also paste images, or drop files here. In VS Code, hold Shift while you drop them.';
  const button = element('button', { class: 'secondary', title, onclick: () => input.click() }, 'Add images…');
  const list = element('ul', { class: 'pictures', 'aria-label': 'Attached images' });
  const problem = element('p', { class: 'image-problem' });
  let shown: TryState['attached'] | undefined;

  const item = (image: TryState['attached'][number], place: number): HTMLElement =>
    element(
      'li',
      {},
      pictureElement(image),
      element(
        'button',
        {
          class: 'remove-image',
          'aria-label': `Remove ${image.name}`,
          title: `Remove ${image.name}`,
          onclick: () => remove(place),
        },
        '×',
      ),
    );

  return {
    /** Above the actions; the button is one of them. */
    element: element('div', { class: 'image-tray' }, list, problem, input),
    button,
    update({ readsImages, attached, problem: reason = '' }: TryState): void {
      button.hidden = !readsImages;
      setText(problem, reason);
      problem.hidden = reason === '';
      if (shown === attached) return;
      const hadFocus = list.contains(document.activeElement);
      shown = attached;
      fill(list, attached.map(item));
      list.hidden = attached.length === 0;
      if (hadFocus) (list.querySelector<HTMLButtonElement>('li:last-child button') ?? button).focus();
    },
  };
}

/** Attaches images that are dropped on the page or pasted into it. Text that is pasted together with its picture stays text. */
export function takeImages(root: HTMLElement, { isOpen, take }: { readonly isOpen: () => boolean; readonly take: Attach }): void {
  const isDrag = (event: DragEvent): boolean => isOpen() && event.dataTransfer?.types.includes('Files') === true;
  root.addEventListener('dragover', event => {
    if (isDrag(event)) event.preventDefault();
  });
  root.addEventListener('drop', event => {
    if (!isDrag(event)) return;
    event.preventDefault();
    take([...(event.dataTransfer?.files ?? [])]);
  });
  root.addEventListener('paste', event => {
    const { clipboardData } = event;
    const images = [...(clipboardData?.files ?? [])].filter(({ type }) => type.startsWith('image/'));
    const isText = clipboardData?.types.includes('text/plain') === true && clipboardData.types.includes('text/html');
    if (!isOpen() || images.length === 0 || isText) return;
    event.preventDefault();
    take(images);
  });
}
