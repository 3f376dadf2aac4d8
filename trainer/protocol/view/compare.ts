/** Messages between the Compare page and its host. */
import type { Notice, RunPatch } from './run.ts';

/** Maximum number of runs: more curves in one chart are hard to tell apart. */
export const MAX_COMPARED = 16;

export type CompareToPage =
  /** The runs in order; runs unknown to the page are empty until their patches arrive. */
  | { readonly type: 'runs'; readonly runDirs: readonly string[] }
  | { readonly type: 'patch'; readonly runDir: string; readonly patch: RunPatch }
  | Notice;

export type CompareFromPage =
  /** The page is ready and has no data: send everything. */
  | { readonly type: 'ready' }
  | { readonly type: 'open'; readonly runDir: string }
  | { readonly type: 'remove'; readonly runDir: string }
  /** A file that the page has generated. */
  | { readonly type: 'save'; readonly suggestedName: string; readonly content: string };
