/** A tab list with panels, following the ARIA pattern, for mouse and arrow keys. */
import { element } from './element.ts';

export interface Tab {
  readonly id: string;
  readonly label: string;
  readonly panel: HTMLElement;
}

export interface Tabs {
  readonly element: HTMLElement;
  readonly selected: string;
  select(id: string): void;
}

/** @param onSelect called with every choice of the user */
export function createTabs(label: string, tabs: readonly Tab[], first: string, onSelect: (id: string) => void): Tabs {
  let selected = tabs.some(({ id }) => id === first) ? first : (tabs[0]?.id ?? '');
  const buttons = tabs.map(tab =>
    element(
      'button',
      { class: 'tab', type: 'button', role: 'tab', id: `tab-${tab.id}`, 'aria-controls': `panel-${tab.id}`, onclick: () => choose(tab.id) },
      tab.label,
    ),
  );
  const panels = tabs.map(tab =>
    element('div', { class: 'panel', role: 'tabpanel', id: `panel-${tab.id}`, 'aria-labelledby': `tab-${tab.id}` }, tab.panel),
  );
  const list = element('div', { class: 'tabs', role: 'tablist', 'aria-label': label, onkeydown: key }, buttons);

  function show(): void {
    for (const [i, tab] of tabs.entries()) {
      const isSelected = tab.id === selected;
      buttons[i]?.setAttribute('aria-selected', String(isSelected));
      buttons[i]?.setAttribute('tabindex', isSelected ? '0' : '-1');
      panels[i]?.toggleAttribute('hidden', !isSelected);
    }
  }

  function choose(id: string): void {
    selected = id;
    show();
    onSelect(id);
  }

  function key(event: KeyboardEvent): void {
    const at = tabs.findIndex(({ id }) => id === selected);
    const steps: Readonly<Record<string, number>> = {
      ArrowRight: (at + 1) % tabs.length,
      ArrowLeft: (at + tabs.length - 1) % tabs.length,
      Home: 0,
      End: tabs.length - 1,
    };
    const to = steps[event.key];
    const tab = to === undefined ? undefined : tabs[to];
    if (to === undefined || !tab) return;
    event.preventDefault();
    choose(tab.id);
    buttons[to]?.focus();
  }

  show();
  return {
    element: element('div', { class: 'tabbed' }, list, panels),
    get selected() {
      return selected;
    },
    select: id => {
      selected = id;
      show();
    },
  };
}
