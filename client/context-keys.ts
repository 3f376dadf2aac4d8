/** Sets the keys of the `when` clauses in package.json, only when a value changes. */
import { commands } from 'vscode';

export type ContextKey =
  | 'rowtune.noRuns'
  | 'rowtune.nothingToCompare'
  | 'rowtune.noResumable'
  | 'rowtune.noAnswers'
  | 'rowtune.hasActiveJobs'
  | 'rowtune.hasClusterRuns'
  | 'rowtune.engineMissing'
  | 'rowtune.daemonRunning'
  | 'rowtune.serverRunning'
  | 'rowtune.viewsReady'
  | 'rowtune.modelFolders'
  | 'rowtune.textModelFolders';

const known = new Map<ContextKey, string>();

export function setContext(key: ContextKey, value: boolean | readonly string[]): void {
  const text = JSON.stringify(value);
  if (known.get(key) === text) return;
  known.set(key, text);
  void commands.executeCommand('setContext', key, value);
}
