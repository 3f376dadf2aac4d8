/**
 * Sends the data of one run as patches: everything first, then changes. The files of the run are the only source of truth. Daemon events
 * only trigger a look, and a slow timer looks at runs that no daemon knows, so nothing is missed or sent twice.
 */

import { messageOf } from '../../trainer/protocol/error-facts.ts';
import type { JobEvent, JobRecord, RunInfo, TailedFile } from '../../trainer/protocol/messages/rpc-messages.ts';
import { type ClusterPlace, isOnCluster } from '../../trainer/protocol/run/cluster.ts';
import { isActive } from '../../trainer/protocol/run/run-activity.ts';
import { asParagraph, withStop } from '../../trainer/protocol/text/paragraph.ts';
import { KEPT_LOG_LINES, PATCH_LINES, type RunOverview, type RunPatch, type ShownJob } from '../../trainer/protocol/view/run.ts';
import { isTraining } from '../daemon/job-store.ts';
import { answersPatch } from './answer-lines.ts';
import { metricsPatch } from './metric-lines.ts';
import type { PageServices } from './page-services.ts';
import { parseCoverage, parseEvaluation, parseMemory, parseRanks, parseRecipeFile, parseSummary } from './run-files.ts';
import { openRunSource, type RunSource, WholeFile } from './run-source.ts';

/** Interval for a run that is being written without daemon events. */
const ACTIVE_LOOK_MS = 1000;
/** Interval for an inactive run: another program may resume or delete it. */
const IDLE_LOOK_MS = 5000;

export type FeedServices = Pick<PageServices, 'isRemote' | 'daemon' | 'jobs' | 'onJobEvent' | 'onJobChanged' | 'updateIntervalMs' | 'log'>;

export interface FeedParams {
  readonly runDir: string;
  readonly services: FeedServices;
  /** True to send log lines and answers to held-out prompts, too. */
  readonly withLog: boolean;
  readonly onPatch: (patch: RunPatch) => void;
  /** Reports why the run can't be read; an empty message when it can be read again. */
  readonly onTrouble?: (message: string) => void;
}

/** Returns the patch for lines that were added to a file. */
const patchOf = {
  metrics: metricsPatch,
  answers: answersPatch,
  log: (lines, reset) => ({ type: 'log', reset, lines: lines.slice(-KEPT_LOG_LINES) }),
} as const satisfies Partial<Record<TailedFile, (lines: readonly string[], reset: boolean) => RunPatch>>;

type LinesFile = keyof typeof patchOf;

interface Place {
  from: number;
  version: string;
  /** True once a patch was sent, even if only to say that the file has no lines. */
  isBegun: boolean;
}

const start = (): Place => ({ from: 0, version: '', isBegun: false });
const startAll = (): Readonly<Record<LinesFile, Place>> => ({ metrics: start(), answers: start(), log: start() });

export class RunFeed {
  private readonly params: FeedParams;
  private readonly unlisten: (() => void)[] = [];
  private readonly source: RunSource;
  /** The reason why the run can't be read, reported once. */
  private trouble = '';
  private job: JobRecord | undefined;
  private places = startAll();
  private readonly files = {
    recipe: new WholeFile('recipe'),
    coverage: new WholeFile('coverage'),
    memory: new WholeFile('memory'),
    evaluation: new WholeFile('evaluation'),
    summary: new WholeFile('summary'),
    byRank: new WholeFile('byRank'),
  };
  /** The values last sent, so that only differences are sent. */
  private sent = new Map<string, string>();
  private info: RunInfo | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isLooking = false;
  private isAwaited = false;
  private isOpen = true;
  private lookedMs = Number.NEGATIVE_INFINITY;
  /** Counts requests to start over; results of an older look are dropped. */
  private beginning = 0;

  constructor(params: FeedParams) {
    this.params = params;
    const { services, runDir } = params;
    this.source = openRunSource(runDir, services);
    for (const job of services.jobs()) this.changed(job);
    this.unlisten.push(
      services.onJobChanged(job => this.changed(job)),
      services.onJobEvent(event => this.onEvent(event)),
    );
  }

  /** The daemon's newest job for this run. */
  get currentJob(): JobRecord | undefined {
    return this.job;
  }

  /** The cluster job of the run. */
  get place(): ClusterPlace | undefined {
    return this.info?.cluster;
  }

  /** Sends everything, starting at the first line. */
  begin(): void {
    this.beginning++;
    this.places = startAll();
    this.sent.clear();
    this.trouble = '';
    this.poke();
  }

  /** Looks soon: now, or when the interval since the last look has passed. */
  poke(): void {
    if (!this.isOpen || this.beginning === 0) return;
    if (this.isLooking) {
      this.isAwaited = true;
      return;
    }
    clearTimeout(this.timer);
    const waitMs = Math.max(0, this.lookedMs + this.params.services.updateIntervalMs() - performance.now());
    this.timer = setTimeout(() => void this.look(), waitMs);
  }

  dispose(): void {
    this.isOpen = false;
    clearTimeout(this.timer);
    for (const end of this.unlisten) end();
  }

  private changed(job: JobRecord): void {
    const isNewer = !this.job || job.createdAt >= this.job.createdAt;
    if (job.runDir !== this.params.runDir || !isTraining(job) || !isNewer) return;
    this.job = job;
    this.poke();
  }

  private onEvent({ jobId, event }: JobEvent): void {
    if (jobId !== this.job?.id) return;
    if (event.type === 'progress') this.job = { ...this.job, progress: event };
    else if (event.type === 'phase') this.job = { ...this.job, phase: event.name };
    this.poke();
  }

  private async look(): Promise<void> {
    this.isLooking = true;
    const beginning = this.beginning;
    try {
      await this.send(beginning);
      this.tell('');
    } catch (error) {
      // The daemon is unreachable, or a file was removed during the read; the next look retries.
      this.tell(messageOf(error));
    } finally {
      this.isLooking = false;
      this.lookedMs = performance.now();
      if (this.isOpen) this.schedule(beginning !== this.beginning);
    }
  }

  private tell(trouble: string): void {
    if (trouble === this.trouble || !this.isOpen) return;
    this.trouble = trouble;
    if (trouble !== '') this.params.services.log.warn(`${this.params.runDir}: ${trouble}`);
    this.params.onTrouble?.(trouble);
  }

  private schedule(isStale: boolean): void {
    if (this.isAwaited || isStale) {
      this.isAwaited = false;
      this.poke();
      return;
    }
    this.timer = setTimeout(() => void this.look(), isActive(this.info?.state) ? ACTIVE_LOOK_MS : IDLE_LOOK_MS);
    this.timer.unref();
  }

  private async send(beginning: number): Promise<void> {
    const post = (patch: RunPatch): boolean => {
      const isWanted = this.isOpen && beginning === this.beginning;
      if (isWanted) this.params.onPatch(patch);
      return isWanted;
    };
    // The positions belong to this start. A later start has its own, which an older look must not change.
    const { source, places } = this;
    // Read the state before the lines: if it says that the run ended, all lines exist.
    this.info = await source.info();
    if (!this.info) {
      const job = shownJob(this.job);
      this.once('overview', JSON.stringify(job ?? {}), () => post({ type: 'missing', runDir: this.params.runDir, job }));
      return;
    }
    const overview = overviewOf(this.info, this.job);
    // A change of the age alone is not sent.
    this.once('overview', JSON.stringify({ ...overview, ageSeconds: 0 }), () => post({ type: 'overview', overview }));
    await this.sendFiles(source, post);
    for (const file of this.params.withLog ? (['metrics', 'answers', 'log'] as const) : (['metrics'] as const))
      await this.sendLines(source, file, places[file], post);
  }

  private async sendFiles(source: RunSource, post: (patch: RunPatch) => boolean): Promise<void> {
    const { files } = this;
    const [recipe, coverage, memory, evaluation, summary, byRank] = await Promise.all(
      [files.recipe, files.coverage, files.memory, files.evaluation, files.summary, files.byRank].map(file => file.read(source)),
    );
    this.sendFile('recipe', recipe, text => post({ type: 'recipe', ...parseRecipeFile(text) }));
    this.sendFile('coverage', coverage, text => {
      const found = parseCoverage(text);
      return !found || post({ type: 'coverage', coverage: found });
    });
    this.sendFile('memory', memory, text => {
      const found = parseMemory(text);
      return !found || post({ type: 'memory', memory: found });
    });
    this.sendFile('ranks', byRank, text => {
      const found = parseRanks(text);
      return !found || post({ type: 'ranks', ranks: found });
    });
    this.sendFile('evaluation', evaluation, text => {
      const found = parseEvaluation(text);
      return !found || post({ type: 'evaluation', evaluation: found });
    });
    // A summary from before a resume says nothing about the resumed run.
    const hasEnded = this.info?.state === 'finished' || this.info?.state === 'stopped';
    const finalSummary = hasEnded ? summary : undefined;
    this.once('summary', finalSummary ?? '', () =>
      post({ type: 'summary', summary: finalSummary === undefined ? null : (parseSummary(finalSummary) ?? null) }),
    );
  }

  /** Parses and sends a file only if its text changed. */
  private sendFile(what: string, text: string | undefined, send: (text: string) => boolean): void {
    if (text !== undefined) this.once(what, text, () => send(text));
  }

  private once(what: string, content: string, post: () => boolean): void {
    if (this.sent.get(what) === content) return;
    if (post()) this.sent.set(what, content);
  }

  /** Reads to the end of the file; sends a patch when it is full or the file ends. */
  private async sendLines(source: RunSource, file: LinesFile, place: Place, post: (patch: RunPatch) => boolean): Promise<void> {
    let reset = !place.isBegun;
    let lines: string[] = [];
    const flush = (): boolean => {
      if (lines.length === 0 && !reset) return true;
      const isSent = post(patchOf[file](lines, reset));
      lines = [];
      reset = false;
      place.isBegun = true;
      return isSent;
    };
    for (let more = true; more; ) {
      const page = await source.tail(file, place.from, place.version);
      if (page.rewound) {
        // The run restarted from an earlier checkpoint or from scratch: discard earlier lines.
        lines = [];
        reset = true;
        Object.assign(place, start());
        continue;
      }
      lines.push(...page.lines);
      // Keep only the newest lines of a log, however long it is.
      if (file === 'log' && lines.length > 2 * KEPT_LOG_LINES) lines = lines.slice(-KEPT_LOG_LINES);
      place.from = page.next;
      place.version = page.version;
      more = page.more;
      if (file !== 'log' && lines.length >= PATCH_LINES && !flush()) return;
    }
    flush();
  }
}

function shownJob(job: JobRecord | undefined): ShownJob | undefined {
  if (!job) return undefined;
  const { id, state, phase, progress, failure, share } = job;
  return { id, state, phase, progress, failure, share };
}

function overviewOf(info: RunInfo, job: JobRecord | undefined): RunOverview {
  const isOver = info.state === 'stopped' || info.state === 'failed' || info.state === 'interrupted';
  // A run without a completed update has nothing to resume; it starts over from its recipe.
  const resumable = isOver && !isOnCluster(info.cluster) && info.step > 0 && info.step < (info.totalSteps || Number.POSITIVE_INFINITY);
  // The run was resumed in a terminal, so a job that ended before says nothing about it.
  const isElsewhere = !isOver && info.state !== 'finished' && job?.endedAt !== undefined && info.updatedAt > job.endedAt;
  return { ...info, reason: unwrittenFailure(info, job) ?? info.reason, job: isElsewhere ? undefined : shownJob(job), resumable };
}

/** The failure of a resume that the run's folder does not mention, because it ended before it wrote there. */
function unwrittenFailure({ updatedAt }: RunInfo, job: JobRecord | undefined): string | undefined {
  if (job?.kind !== 'resume' || job.failure === undefined || job.createdAt <= updatedAt) return undefined;
  const { message, hint } = job.failure;
  return `The run could not be resumed: ${withStop(asParagraph(message))}${hint === undefined ? '' : ` ${withStop(hint)}`}`;
}
