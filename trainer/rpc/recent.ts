/** Caches answers for a while, because each query puts load on another system. */

interface Kept<T> {
  readonly answer: Promise<T>;
  /** Expiry time; infinite until the answer has arrived. */
  untilMs: number;
}

/** An answer is kept for at least this multiple of the time that it took, so queries take at most a twentieth of the time. */
const TIMES_TAKEN = 20;
/** Maximum number of cached answers: the number of sweeps that are listed at once. */
const MAX_KEYS = 1024;

export class Recent<T> {
  private readonly keepMs: number;
  private readonly ask: (key: string) => Promise<T>;
  private readonly kept = new Map<string, Kept<T>>();

  /** @param keepMs minimum time for which an answer is kept */
  constructor(keepMs: number, ask: (key: string) => Promise<T>) {
    this.keepMs = keepMs;
    this.ask = ask;
  }

  /** Number of cached answers. */
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

  /** Removes expired answers, which would only take memory. */
  private dropOld(nowMs: number): void {
    for (const [key, { untilMs }] of this.kept) if (untilMs <= nowMs) this.kept.delete(key);
    const [oldest] = this.kept.keys();
    if (this.kept.size >= MAX_KEYS && oldest !== undefined) this.kept.delete(oldest);
  }
}
