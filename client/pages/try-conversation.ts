/** The questions and answers of a Try page, and the jobs that write the latest answers. */
import { randomUUID } from 'node:crypto';
import type { JobRecord } from '../../trainer/protocol/messages/rpc-messages.ts';
import type { TryAnswer, TryRound, TrySide, TryToPage } from '../../trainer/protocol/view/try.ts';
import { hasEnded } from '../daemon/job-store.ts';
import { progressText, waitingText } from '../status/status-text.ts';
import type { PageServices } from './page-services.ts';
import { withFewThumbnails } from './try-images.ts';
import { endOf } from './try-result.ts';

/** Maximum number of questions kept over a reload; the newest stay. */
const MAX_ROUNDS = 50;
/** Number of characters of an answer that are kept over a reload. */
const MAX_KEPT_TEXT = 20_000;

/** The part of the page's state that survives a reload. */
export interface KeptConversation {
  readonly rounds: readonly TryRound[];
  /** Running jobs of the latest question. */
  readonly jobs: readonly { readonly side: TrySide; readonly id: string }[];
}

export interface ConversationParams extends Partial<KeptConversation> {
  post(message: TryToPage): void;
  keep(state: KeptConversation): void;
  /** The daemon's jobs. */
  list: PageServices['jobs'];
}

export function createConversation({ rounds: kept = [], jobs: keptJobs = [], post, keep, list }: ConversationParams) {
  let rounds: readonly TryRound[] = kept;
  let jobs = new Map<string, TrySide>(keptJobs.map(({ side, id }) => [id, side]));
  const keepNow = (): void => {
    const short = withFewThumbnails(rounds.slice(-MAX_ROUNDS)).map(({ answers, ...question }) => ({
      ...question,
      answers: answers.map(({ text, reasoning, ...answer }) => ({
        ...answer,
        text: text.slice(0, MAX_KEPT_TEXT),
        ...(reasoning !== undefined && { reasoning: reasoning.slice(0, MAX_KEPT_TEXT) }),
      })),
    }));
    keep({ rounds: short, jobs: [...jobs].map(([id, side]) => ({ side, id })) });
  };
  const answerOf = (side: TrySide): TryAnswer | undefined => rounds.at(-1)?.answers.find(answer => answer.side === side);
  const setAnswer = (side: TrySide, change: Partial<TryAnswer>): void => {
    const round = rounds.at(-1);
    if (round === undefined) return;
    const answers = round.answers.map(answer => (answer.side === side ? { ...answer, ...change } : answer));
    rounds = [...rounds.slice(0, -1), { ...round, answers }];
  };
  const change = (side: TrySide, next: Partial<TryAnswer>): void => {
    setAnswer(side, next);
    const answer = answerOf(side);
    if (answer !== undefined) post({ type: 'answer', answer });
  };
  /** Ends all unfinished answers. */
  const endAll = (next: Partial<TryAnswer>): void => {
    for (const side of jobs.values()) change(side, next);
    jobs.clear();
  };
  return {
    get rounds() {
      return rounds;
    },
    get isBusy() {
      return jobs.size > 0;
    },
    isWaitingFor: (id: string): boolean => jobs.has(id),
    /** Adds a question; returns the ids of the jobs that will answer it. */
    begin({ prompt, images = [] }: Omit<TryRound, 'answers'>, sides: readonly TrySide[]): ReadonlyMap<string, TrySide> {
      const answers: readonly TryAnswer[] = sides.map(side => ({ side, text: '', state: 'waiting' }));
      const round: TryRound = { prompt, ...(images.length > 0 && { images }), answers };
      rounds = [...rounds, round].slice(-MAX_ROUNDS);
      post({ type: 'round', round });
      jobs = new Map(sides.map(side => [randomUUID(), side]));
      keepNow();
      return new Map(jobs);
    },
    /** Applies the record of a job; ignores jobs of others. */
    follow(job: JobRecord): void {
      const side = jobs.get(job.id);
      if (side === undefined) return;
      if (hasEnded(job)) {
        jobs.delete(job.id);
        change(side, endOf(job));
        keepNow();
      } else if (answerOf(side)?.state !== 'writing')
        change(
          side,
          job.state === 'queued' ? { state: 'waiting', note: waitingText(list()) } : { state: 'loading', note: progressText(job) },
        );
    },
    /** Applies an event of a job: a piece of text, or progress before the first piece. */
    hear({ jobId, event }: Parameters<Parameters<PageServices['onJobEvent']>[0]>[0]): void {
      const side = jobs.get(jobId);
      if (side === undefined) return;
      const before = answerOf(side);
      if (event.type === 'text') {
        const { chunk, part } = event;
        setAnswer(side, { [part ?? 'text']: (before?.[part ?? 'text'] ?? '') + chunk, state: 'writing', note: undefined });
        if (before?.state !== 'writing') change(side, {});
        else post({ type: 'text', side, chunk, ...(part && { part }) });
      } else if (event.type === 'progress' && before?.state !== 'writing') {
        change(side, { state: 'loading', note: progressText({ state: 'running', progress: event }) });
      }
    },
    fail: (note: string): void => endAll({ state: 'failed', note }),
    /** Stops all answers; returns the ids of the jobs to abort. */
    stop(): readonly string[] {
      const ids = [...jobs.keys()];
      endAll({ state: 'stopped', note: undefined });
      keepNow();
      return ids;
    },
    clear(): void {
      rounds = [];
      keepNow();
    },
  };
}
