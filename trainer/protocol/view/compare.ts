/** What the page that compares runs and its host say to each other. */
import type { Notice, RunPatch } from './run.ts';

/** More curves in one chart can't be told apart. */
export const MAX_COMPARED = 16;

export type CompareToPage =
  /** The runs, in their order; those that the page does not know are empty until their patches come. */
  | { readonly type: 'runs'; readonly runDirs: readonly string[] }
  | { readonly type: 'patch'; readonly runDir: string; readonly patch: RunPatch }
  | Notice;

export type CompareFromPage =
  /** The page is there and has nothing: send everything. */
  | { readonly type: 'ready' }
  | { readonly type: 'open'; readonly runDir: string }
  | { readonly type: 'remove'; readonly runDir: string }
  /** A file that the page has made. */
  | { readonly type: 'save'; readonly suggestedName: string; readonly content: string };
