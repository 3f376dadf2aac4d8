/** Keyboard commands of a focused element. */

export type KeyCommands = Readonly<Record<string, ((event: KeyboardEvent) => void) | undefined>>;

/** Runs the command of a key by its `key` value; keys with Ctrl, Alt or Meta belong to the editor. */
export function onKeys(target: HTMLElement, commands: KeyCommands): void {
  target.addEventListener('keydown', event => {
    const command = event.ctrlKey || event.metaKey || event.altKey ? undefined : commands[event.key];
    if (!command) return;
    event.preventDefault();
    command(event);
  });
}
