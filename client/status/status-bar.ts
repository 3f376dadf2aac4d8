/** The status bar item: the current job, its progress and the remaining time. Its tooltip has the actions. */
import { MarkdownString, StatusBarAlignment, ThemeColor, window } from 'vscode';
import type { App } from '../app.ts';
import { COMMANDS } from '../commands/command-ids.ts';
import { throttle } from '../throttle.ts';
import { statusBarText } from './status-text.ts';

export function createStatusBar(app: App): { dispose(): void } {
  const item = window.createStatusBarItem('rowtune.status', StatusBarAlignment.Left, 10);
  item.name = 'Rowtune';
  item.command = COMMANDS.showStatus;
  const draw = (): void => {
    const { text, tooltip, kind } = statusBarText(app.daemon.state, app.store.active());
    const markdown = new MarkdownString(tooltip, true);
    markdown.isTrusted = { enabledCommands: Object.values(COMMANDS) };
    item.text = text;
    item.tooltip = markdown;
    item.backgroundColor = kind === 'normal' ? undefined : new ThemeColor(`statusBarItem.${kind}Background`);
  };
  const soon = throttle(draw, () => app.settings().updateIntervalMs);
  const stops = [app.store.onChanged(soon.call), app.store.onEvent(soon.call), app.onDaemonState(soon.call)];
  draw();
  item.show();
  return {
    dispose() {
      for (const stop of stops) stop();
      soon.dispose();
      item.dispose();
    },
  };
}
