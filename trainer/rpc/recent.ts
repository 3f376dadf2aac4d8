/** Memoizes answers for a while, since each costs somebody else time. */

interface Kept<T> {
  readonly answer: Promise<T>;
  /** Infinite until the answer is there. */
  untilMs: number;
}

/** An answer is kept for at least this many times the time that it took, so asking takes at most a twentieth of the time. */
const TIMES_TAKEN = 20;
/** The most answers that are kept: as many as sweeps are listed at once. */
const MOST_KEYS = 1024;

export class Recent<T> {
  private readonly keepMs: number;
  private readonly ask: (key: string) => Promise<T>;
  private readonly kept = new Map<string, Kept<T>>();

  /** @param keepMs the least time for which an answer is kept */
  constructor(keepMs: number, ask: (key: string) => Promise<T>) {
    this.keepMs = keepMs;
    this.ask = ask;
  }

  /** Answers that are kept. */
  get size(): number {
    return this.kept.size;
  }

  get(key: string): Promise<T> {
    const known = this.kept.get(key);
    if (known !== undefined && performance.now() < known.untilMs) return known.answer;
    const startMs = performance.now();
    const fresh: Kept<T> = { answer: this.ask(key), untilMs: Number.POSITIVE_INFINITY };
    const done = (): void => {
      const nowMs = performance.now();
      fresh.untilMs = nowMs + Math.max(this.keepMs, TIMES_TAKEN * (nowMs - startMs));
    };
    fresh.answer.then(done, done);
    this.dropOld(startMs);
    this.kept.delete(key);
    this.kept.set(key, fresh);
    return fresh.answer;
  }

  /** Answers whose time is over are asked for again, so they only take memory. */
  private dropOld(nowMs: number): void {
    for (const [key, { untilMs }] of this.kept) if (untilMs <= nowMs) this.kept.delete(key);
    const [oldest] = this.kept.keys();
    if (this.kept.size >= MOST_KEYS && oldest !== undefined) this.kept.delete(oldest);
  }
}
