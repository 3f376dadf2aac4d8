/** Host of the Try page: one job per side, whose text is forwarded as it arrives. */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { z } from 'zod';
import { counted } from '../../trainer/protocol/format.ts';
import type { JobRecord } from '../../trainer/protocol/rpc-messages.ts';
import {
  MAX_PROMPT,
  PROMPT_STYLES,
  TRY_BOUNDS,
  type TryAnswer,
  type TryFromPage,
  type TryOptions,
  type TryRound,
  type TrySide,
  type TryToPage,
} from '../../trainer/protocol/view/try.ts';
import { hasEnded } from '../daemon/job-store.ts';
import { progressText, waitingText } from '../status/status-text.ts';
import type { ConnectPage } from './page-services.ts';

/** The most questions kept over a reload; the newest stay. */
const MAX_ROUNDS = 50;
/** An answer as the page shows it after a reload. */
const MAX_KEPT_TEXT = 20_000;

const answerSchema: z.ZodType<TryAnswer> = z.object({
  side: z.enum(['base', 'tuned']),
  text: z.string(),
  state: z.enum(['waiting', 'loading', 'writing', 'done', 'stopped', 'failed']),
  note: z.string().optional(),
});

const stateSchema = z.object({
  /** A name on the hub, or a path. */
  model: z.string().min(1),
  revision: z.string().min(1),
  /** The adapter of a run, compared with its base. */
  adapter: z.string().refine(path.isAbsolute).optional(),
  /** The base of a relative model path. */
  baseDir: z.string().refine(path.isAbsolute),
  label: z.string(),
  rounds: z.array(z.object({ prompt: z.string(), answers: z.array(answerSchema) })).optional(),
  /** Running jobs of the last question. */
  jobs: z.array(z.object({ side: z.enum(['base', 'tuned']), id: z.string() })).optional(),
});

const bounded = (name: keyof typeof TRY_BOUNDS) => z.number().min(TRY_BOUNDS[name].min).max(TRY_BOUNDS[name].max);
const fromPage: z.ZodType<TryFromPage> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({
    type: z.literal('ask'),
    prompt: z.string().min(1).max(MAX_PROMPT),
    options: z.object({
      prompt: z.enum(PROMPT_STYLES),
      maxNewTokens: bounded('maxNewTokens').int(),
      temperature: bounded('temperature'),
      topP: bounded('topP'),
      topK: bounded('topK').int(),
      seed: bounded('seed').int(),
    }),
  }),
  z.object({ type: z.literal('stop') }),
  z.object({ type: z.literal('clear') }),
]);

/** `state`: `{ model, revision, baseDir, label, adapter? }`; with an adapter, the base model answers too. */
export const connectTry: ConnectPage<TryToPage> = ({ state, services, post, keep, setTitle }) => {
  const checkedState = stateSchema.safeParse(state).data;
  if (checkedState === undefined) {
    return { receive: () => post({ type: 'view', label: 'No model', model: '', sides: [], rounds: [] }), dispose: () => undefined };
  }
  const { rounds: keptRounds = [], jobs: keptJobs = [], ...source } = checkedState;
  const sides: readonly TrySide[] = source.adapter === undefined ? ['base'] : ['base', 'tuned'];
  let rounds: readonly TryRound[] = keptRounds;
  let jobs = new Map<string, TrySide>(keptJobs.map(({ side, id }) => [id, side]));
  setTitle(`Try: ${source.label}`);

  const keepNow = (): void => {
    const short = rounds.map(({ prompt, answers }) => ({
      prompt,
      answers: answers.map(answer => ({ ...answer, text: answer.text.slice(0, MAX_KEPT_TEXT) })),
    }));
    keep({ ...source, rounds: short.slice(-MAX_ROUNDS), jobs: [...jobs].map(([id, side]) => ({ side, id })) });
  };
  const last = (): TryRound | undefined => rounds.at(-1);
  const answerOf = (side: TrySide): TryAnswer | undefined => last()?.answers.find(answer => answer.side === side);
  const setAnswer = (side: TrySide, change: Partial<TryAnswer>): void => {
    const round = last();
    if (round === undefined) return;
    const answers = round.answers.map(answer => (answer.side === side ? { ...answer, ...change } : answer));
    rounds = [...rounds.slice(0, -1), { ...round, answers }];
  };
  const change = (side: TrySide, next: Partial<TryAnswer>): void => {
    setAnswer(side, next);
    const answer = answerOf(side);
    if (answer !== undefined) post({ type: 'answer', answer });
  };

  function follow(job: JobRecord): void {
    const side = jobs.get(job.id);
    if (side === undefined) return;
    if (!hasEnded(job)) {
      if (answerOf(side)?.state !== 'writing')
        change(
          side,
          job.state === 'queued' ? { state: 'waiting', note: waitingText(services.jobs()) } : { state: 'loading', note: progressText(job) },
        );
      return;
    }
    jobs.delete(job.id);
    change(side, endOf(job));
    keepNow();
  }

  const stops = [
    services.onJobChanged(follow),
    services.onJobEvent(({ jobId, event }) => {
      const side = jobs.get(jobId);
      if (side === undefined) return;
      if (event.type === 'text') {
        const before = answerOf(side);
        setAnswer(side, { text: (before?.text ?? '') + event.chunk, state: 'writing', note: undefined });
        if (before?.state !== 'writing') change(side, {});
        else post({ type: 'text', side, chunk: event.chunk });
      } else if (event.type === 'progress' && answerOf(side)?.state !== 'writing') {
        change(side, { state: 'loading', note: progressText({ state: 'running', progress: event }) });
      }
    }),
  ];
  // The window was reloaded during an answer.
  for (const job of services.jobs()) follow(job);

  async function ask(prompt: string, options: TryOptions): Promise<void> {
    if (jobs.size > 0) return;
    const round: TryRound = { prompt, answers: sides.map(side => ({ side, text: '', state: 'waiting' })) };
    rounds = [...rounds, round].slice(-MAX_ROUNDS);
    post({ type: 'round', round });
    const { model, revision, baseDir, adapter } = source;
    const { prompt: style, ...generation } = options;
    const started = new Map<string, TrySide>(sides.map(side => [randomUUID(), side]));
    jobs = new Map(started);
    keepNow();
    try {
      const daemon = await services.daemon();
      for (const [id, side] of started) {
        // The job was stopped meanwhile.
        if (!jobs.has(id)) continue;
        const job = await daemon.request('generate', {
          id,
          model,
          revision,
          baseDir,
          prompt,
          options: { ...generation, chat: style !== 'plain', engine: 'auto' },
          // The base model gets the same prompt as the tuned one.
          ...(style === 'trained' && adapter !== undefined ? { promptOf: adapter } : {}),
          ...(side === 'tuned' ? { adapter } : {}),
        });
        follow(job);
      }
    } catch (error) {
      for (const side of jobs.values()) change(side, { state: 'failed', note: error instanceof Error ? error.message : String(error) });
      jobs.clear();
      services.showError(error);
    }
  }

  async function stop(): Promise<void> {
    const ids = [...jobs.keys()];
    for (const side of jobs.values()) change(side, { state: 'stopped', note: undefined });
    jobs.clear();
    keepNow();
    const daemon = await services.daemon();
    // A job that never started can't be aborted.
    const known = new Set(services.jobs().map(({ id }) => id));
    for (const id of ids) if (known.has(id)) await daemon.request('abortJob', { id });
  }

  async function receive(message: TryFromPage): Promise<void> {
    switch (message.type) {
      case 'ready':
        return post({ type: 'view', label: source.label, model: source.model, sides, rounds });
      case 'ask':
        return ask(message.prompt, message.options);
      case 'stop':
        return stop();
      case 'clear':
        if (jobs.size > 0) await stop();
        rounds = [];
        keepNow();
        return post({ type: 'view', label: source.label, model: source.model, sides, rounds });
    }
  }

  return {
    receive: message => {
      const checked = fromPage.safeParse(message);
      if (checked.success) receive(checked.data).catch((error: unknown) => services.showError(error));
      else services.log.warn(`the Try page of ${source.label} sent an invalid message: ${checked.error.message}`);
    },
    dispose: () => {
      for (const each of stops) each();
    },
  };
};

const resultSchema = z.object({
  text: z.string(),
  ids: z.array(z.number()),
  tokensPerSecond: z.number(),
  finishReason: z.string(),
  chat: z.boolean().optional(),
  asTrained: z.boolean().optional(),
});

function endOf(job: JobRecord): Partial<TryAnswer> {
  if (job.state === 'failed') return { state: 'failed', note: [job.failure?.message, job.failure?.hint].filter(Boolean).join(' ') };
  const result = resultSchema.safeParse(job.result).data;
  if (job.state !== 'succeeded' || result === undefined) return { state: 'stopped', note: undefined };
  const rate = result.tokensPerSecond > 0 ? `, ${result.tokensPerSecond.toFixed(1)} a second` : '';
  const cut = result.finishReason.startsWith('max_') ? ', cut at the token limit' : '';
  // The complete text, because some of it may have arrived while nobody listened.
  const how = result.asTrained ? ', prompt formatted as in training' : result.chat ? ', prompt formatted by the chat template' : '';
  return { state: 'done', text: result.text, note: `${counted(result.ids.length, 'token')}${rate}${cut}${how}` };
}
