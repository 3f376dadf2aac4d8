/**
 * The editors that tests run in: VS Code as a server with its workbench in a browser, available on npm as `code-server`. Versions are
 * exact; `node` is the Node that the editor requires, in case the machine's own is older.
 */
export const EDITORS = {
  /** The current editor. */
  current: {
    vscode: '1.139',
    codeServer: '4.139.1',
    node: '24.21.0',
    rebuild: ['@vscode/spdlog', '@vscode/native-watchdog', '@parcel/watcher', 'node-pty'],
  },
  /** The oldest editor that package.json allows (`engines.vscode`). */
  oldest: {
    vscode: '1.100',
    codeServer: '4.100.3',
    node: undefined,
    rebuild: ['@vscode/spdlog', 'native-watchdog', '@parcel/watcher', 'node-pty'],
  },
};
