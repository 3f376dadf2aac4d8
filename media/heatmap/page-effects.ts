/** The effects of a change outside the heatmap page: messages to the host, saved choices, announcements. */
import type { HeatmapFromPage, ScoreSetRef } from '../../trainer/protocol/view/heatmap.ts';
import type { Announcer } from '../shared/announcer.ts';
import type { Editor } from '../shared/editor.ts';
import { overlapText, selectionText } from './cell/cell-facts.ts';
import { markOf } from './cell/selection-view.ts';
import { type PageEvent, type PageState, progressSentence, sentenceAfter, wantedSets } from './page-state.ts';
import type { Picture } from './picture.ts';
import type { ScoreStore } from './score-store.ts';
import type { HeatmapViewState } from './view-state.ts';

export interface EffectParams {
  readonly editor: Editor<HeatmapFromPage, HeatmapViewState>;
  readonly store: ScoreStore;
  readonly announcer: Announcer;
  /** The picture that is drawn. */
  picture(): Picture | undefined;
}

/** Delay in ms, so that a slider is announced when it is released rather than while it moves. */
const SETTLE_MS = 600;

export function createEffects({ editor, store, announcer, picture }: EffectParams) {
  let wanted: readonly ScoreSetRef[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;

  function sayLater(sentenceOf: (picture: Picture) => string): void {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const shown = picture();
      if (shown) announcer.say(sentenceOf(shown));
    }, SETTLE_MS);
  }

  /** Saves the choices, and requests the scores of sets that became visible. */
  function takeChoices(choices: HeatmapViewState): void {
    editor.keep(choices);
    const sets = wantedSets(choices);
    if (JSON.stringify(sets) === JSON.stringify(wanted)) return;
    wanted = sets;
    store.keepOnly(sets);
    editor.post({ type: 'want', sets });
  }

  return (event: PageEvent, before: PageState, after: PageState): void => {
    const sentence = sentenceAfter(event, before);
    if (sentence !== undefined) announcer.say(sentence);
    switch (event.type) {
      case 'scores':
        store.apply(event.set, event.modules);
        break;
      case 'progress':
        announcer.mention(progressSentence(event));
        break;
      case 'add':
        editor.post({ type: 'add-source', source: event.source });
        break;
      case 'remove':
        editor.post({ type: 'remove-source', path: event.path });
        break;
      case 'choose':
        if (event.change.budget) sayLater(shown => `${markOf(shown.choice)}: ${selectionText(shown)}`);
        if (event.change.view ?? event.change.b) sayLater(shown => overlapText(shown) ?? shown.meaning);
        break;
      default:
        break;
    }
    if (after.choices !== before.choices) takeChoices(after.choices);
  };
}
