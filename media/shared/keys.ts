/** Keyboard commands of a focused element. */

export type KeyCommands = Readonly<Record<string, ((event: KeyboardEvent) => void) | undefined>>;

/**
 * Runs the command for a key's `key` value, after `Control+` if Ctrl or Cmd is held. Keys with Alt, and all others that no command names,
 * are left to the editor.
 */
export function onKeys(target: HTMLElement, commands: KeyCommands): void {
  target.addEventListener('keydown', event => {
    const held = event.ctrlKey || event.metaKey ? 'Control+' : '';
    const command = event.altKey ? undefined : commands[held + event.key];
    if (!command) return;
    event.preventDefault();
    command(event);
  });
}
