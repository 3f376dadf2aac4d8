/** The page of one run: its numbers, newest first, as the host sends them. */

/** What the host sends. */
interface MetricsMessage {
  readonly type: 'metrics';
  readonly step: number;
  readonly values: Readonly<Record<string, number>>;
}

/** The one function that VS Code gives a page. */
declare function acquireVsCodeApi(): { postMessage(message: { readonly type: 'ready' }): void };

/** Draws each update as one line of a list inside `element`. */
function mount(element: HTMLElement): (message: MetricsMessage) => void {
  const list = element.appendChild(document.createElement('ol'));
  list.reversed = true;
  return ({ step, values }) => {
    const item = document.createElement('li');
    item.value = step;
    item.textContent = Object.entries(values)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ');
    list.prepend(item);
  };
}

const update = mount(document.body);
addEventListener('message', (event: MessageEvent<MetricsMessage>) => update(event.data));
acquireVsCodeApi().postMessage({ type: 'ready' });
