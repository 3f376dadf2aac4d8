/** One step of a wizard: a list to pick from, with a Back button. */
import { QuickInputButtons, type QuickPickItem, window } from 'vscode';

/** The answer that returns to the previous step. */
export const BACK = Symbol('back');

export interface Choice<T> extends QuickPickItem {
  readonly value?: T;
}

export interface StepPick<T> {
  readonly title: string;
  readonly step: number;
  readonly totalSteps: number;
  readonly placeHolder: string;
  /** The choices; if they are a promise, the list opens before they are known. */
  readonly items: readonly Choice<T>[] | Promise<readonly Choice<T>[]>;
  /** The same choices with more detail, which takes longer to load. */
  readonly detailed?: Promise<readonly Choice<T>[]>;
  readonly canGoBack: boolean;
}

/** @returns undefined if the user closed the list; rejects if loading the items fails */
export function pickStep<T>({
  title,
  step,
  totalSteps,
  placeHolder,
  items,
  detailed,
  canGoBack,
}: StepPick<T>): Promise<T | typeof BACK | undefined> {
  const picker = window.createQuickPick<Choice<T>>();
  Object.assign(picker, { title, step, totalSteps, placeholder: placeHolder, ignoreFocusOut: true, busy: true });
  picker.matchOnDescription = true;
  picker.matchOnDetail = true;
  picker.buttons = canGoBack ? [QuickInputButtons.Back] : [];
  const answer = new Promise<T | typeof BACK | undefined>((resolve, reject) => {
    picker.onDidTriggerButton(() => resolve(BACK));
    picker.onDidHide(() => resolve(undefined));
    picker.onDidAccept(() => {
      const [chosen] = picker.selectedItems;
      if (chosen !== undefined) resolve(chosen.value);
    });
    const show = async (): Promise<void> => {
      picker.items = await items;
      if (detailed !== undefined) {
        const known = await detailed;
        const [active] = picker.activeItems;
        const at = active === undefined ? -1 : picker.items.indexOf(active);
        picker.keepScrollPosition = true;
        picker.items = known;
        picker.activeItems = known.filter((_, place) => place === at);
      }
      picker.busy = false;
    };
    show().catch(reject);
  });
  picker.show();
  return answer.finally(() => picker.dispose());
}
