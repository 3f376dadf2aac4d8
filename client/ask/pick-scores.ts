/** Finds the scores for a heatmap: those of a run, those of a standalone score file, or the user's choice from a list of both. */
import path from 'node:path';
import { type QuickPickItem, QuickPickItemKind, ThemeIcon, workspace } from 'vscode';
import type { App } from '../app.ts';
import { uriOf } from '../recipe/recipe-files.ts';
import { EXCLUDED_GLOB, SCORES_ENDING } from '../recipe/recipe-names.ts';
import type { Views } from '../views/views.ts';
import { asPick, pickOrExplain, runFor, runItems } from './pick-run.ts';

const SCORES_GLOB = `**/*${SCORES_ENDING}`;
/** Maximum number of files found: nobody picks from more. */
const MAX_FILES = 200;

export interface ScoresPlace {
  /** The folder of a run, or the path of a score file. */
  readonly path: string;
  readonly label: string;
  /** True for a file on this machine, even if the daemon is remote. */
  readonly isHere?: boolean;
}

/** Returns undefined if the user picked nothing. If there are no scores, a message says so. */
export async function scoresFor(app: App, views: Views, argument: unknown): Promise<ScoresPlace | undefined> {
  const uri = uriOf(argument);
  if (uri?.path.endsWith('.safetensors')) return { path: uri.fsPath, label: path.basename(uri.fsPath, SCORES_ENDING), isHere: true };
  if (argument !== undefined) {
    const item = await runFor(app, views, argument, {
      placeHolder: 'Select a run to show its importance',
      flag: 'scores',
      none: 'No run has computed importance scores yet.',
    });
    return item?.runDir === undefined ? undefined : { path: item.runDir, label: item.label };
  }
  const none = 'There are no scores yet. Compute them with Rowtune: Compute Importance.';
  return (await pickOrExplain(scoredItems(app, views), { placeHolder: 'Select scores to show', none }))?.source;
}

interface ScoredItem extends QuickPickItem {
  readonly source?: ScoresPlace;
}

/** Runs, and score files that were computed without a run. */
async function scoredItems(app: App, views: Views): Promise<readonly ScoredItem[]> {
  const [runs, files] = await Promise.all([runItems(app, views), workspace.findFiles(SCORES_GLOB, EXCLUDED_GLOB, MAX_FILES)]);
  const ofRuns = runs.flatMap((item): ScoredItem[] =>
    item.runDir !== undefined && item.flags.includes('scores')
      ? [{ ...asPick(item), source: { path: item.runDir, label: item.label } }]
      : [],
  );
  const ofFiles = files.map((uri): ScoredItem => {
    const label = path.basename(uri.fsPath, SCORES_ENDING);
    return {
      label,
      description: workspace.asRelativePath(uri),
      iconPath: new ThemeIcon('flame'),
      source: { path: uri.fsPath, label, isHere: true },
    };
  });
  const group = (label: string, items: readonly ScoredItem[]): readonly ScoredItem[] =>
    items.length === 0 ? [] : [{ label, kind: QuickPickItemKind.Separator }, ...items];
  return [...group('runs', ofRuns), ...group('scores without a run', ofFiles)];
}
