/** Keyboard commands of a focused element. */

export type KeyCommands = Readonly<Record<string, ((event: KeyboardEvent) => void) | undefined>>;

/** Runs the command for a key's `key` value; keys with Ctrl, Alt or Meta are left to the editor. */
export function onKeys(target: HTMLElement, commands: KeyCommands): void {
  target.addEventListener('keydown', event => {
    const command = event.ctrlKey || event.metaKey || event.altKey ? undefined : commands[event.key];
    if (!command) return;
    event.preventDefault();
    command(event);
  });
}
