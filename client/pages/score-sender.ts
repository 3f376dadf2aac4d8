/** Sends the scores that the page requested; each module only once until it changes. */
import { openScoreSets } from '../../trainer/importance/score-sets.ts';
import type { HeatmapToPage, ModuleScores, ScoreSetRef } from '../../trainer/protocol/view/heatmap.ts';

/** Size of a message of scores, in bytes: large enough to be efficient, small enough that the page draws while the rest arrives. */
const MESSAGE_BYTES = 4 * 2 ** 20;

export interface ScoreSender {
  /** The sets that the page shows. */
  readonly wanted: readonly ScoreSetRef[];
  /** Sets the sets that the page shows now; returns those that it did not show before. */
  want(sets: readonly ScoreSetRef[]): readonly ScoreSetRef[];
  /** Sends the modules of a set whose scores the page does not have yet. */
  send(set: ScoreSetRef, file: string): Promise<void>;
  /** Forgets what was sent, because the page has no data any more. */
  reset(): void;
}

/** @param isOpen returns false once the page is closed */
export function createScoreSender(post: (message: HeatmapToPage) => void, isOpen: () => boolean): ScoreSender {
  let wanted: readonly ScoreSetRef[] = [];
  /** The hash of each module that the page has. */
  const sent = new Map<string, number>();
  const isWanted = ({ path, key }: ScoreSetRef): boolean => wanted.some(set => set.path === path && set.key === key);
  return {
    get wanted() {
      return wanted;
    },
    want(sets) {
      const fresh = sets.filter(set => !isWanted(set));
      wanted = sets;
      // The page requests sets again that it dropped.
      for (const id of sent.keys()) if (!wanted.some(set => id.startsWith(idOf(set, '')))) sent.delete(id);
      return fresh;
    },
    async send(set, file) {
      const source = await openScoreSets(file);
      try {
        let modules: ModuleScores[] = [];
        let bytes = 0;
        for (const [name, { block }] of source.modules) {
          const scores = await source.read(set.key, name);
          if (!isOpen() || !isWanted(set)) return;
          if (!scores || sent.get(idOf(set, name)) === hashOf(scores)) continue;
          sent.set(idOf(set, name), hashOf(scores));
          modules.push({ name, scores, block });
          bytes += scores.byteLength;
          if (bytes < MESSAGE_BYTES) continue;
          post({ type: 'scores', set, modules, isLast: false });
          [modules, bytes] = [[], 0];
        }
        post({ type: 'scores', set, modules, isLast: true });
      } finally {
        await source.close();
      }
    },
    reset() {
      wanted = [];
      sent.clear();
    },
  };
}

const idOf = ({ path, key }: ScoreSetRef, module: string): string => `${path}\n${key}\n${module}`;

/** FNV-1a over the bits; shows which modules changed since they were sent. */
function hashOf(scores: Float32Array): number {
  let hash = 0x811c9dc5;
  for (const word of new Uint32Array(scores.buffer, scores.byteOffset, scores.length)) hash = Math.imul(hash ^ word, 0x01000193);
  return hash;
}
