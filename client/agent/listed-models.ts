/** Detects, from the lists of runs, that the chat's models changed: a run was renamed, archived, deleted, or has its first checkpoint. */
import type { RunInfo } from '../../trainer/protocol/messages/rpc-messages.ts';

type Listed = Pick<RunInfo, 'runDir' | 'name' | 'archived' | 'resumable'>;

export class ListedModels {
  private shown: string | undefined;

  /** Returns true if this list offers other models, or other names, than the previous one. */
  differ(runs: readonly Listed[]): boolean {
    const shown = JSON.stringify(
      runs
        .filter(({ archived, resumable }) => resumable === true && archived !== true)
        .map(({ runDir, name }) => [runDir, name])
        .sort(),
    );
    const isOther = this.shown !== undefined && this.shown !== shown;
    this.shown = shown;
    return isOther;
  }
}
