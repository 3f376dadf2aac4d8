/**
 * The editors that tests run in: VS Code as a server with its workbench in a browser, which npm has as `code-server`. Exact versions;
 * `node` is the Node that the editor asks for where the machine's own may be older.
 */
export const EDITORS = {
  /** The editor of today. */
  current: {
    vscode: '1.139',
    codeServer: '4.139.1',
    node: '24.21.0',
    rebuild: ['@vscode/spdlog', '@vscode/native-watchdog', '@parcel/watcher', 'node-pty'],
  },
  /** The oldest that package.json allows (`engines.vscode`). */
  oldest: {
    vscode: '1.100',
    codeServer: '4.100.3',
    node: undefined,
    rebuild: ['@vscode/spdlog', 'native-watchdog', '@parcel/watcher', 'node-pty'],
  },
};
