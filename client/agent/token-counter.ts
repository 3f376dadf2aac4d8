/** Counts tokens with a tokenizer that the daemon loads. Texts that arrive during a request are sent together in the next one. */

/** Number of counts that are memoized: a chat counts the same messages again and again. */
const MAX_KNOWN = 2000;

export class TokenCounter {
  private readonly request: (texts: readonly string[]) => Promise<readonly number[]>;
  private readonly known = new Map<string, number>();
  private readonly wanted = new Map<string, Promise<number>>();
  private before: Promise<unknown> = Promise.resolve();
  private next: { readonly texts: string[]; readonly counts: Promise<readonly number[]> } | undefined;

  /** @param request counts several texts; the counts are in the order of the texts */
  constructor(request: (texts: readonly string[]) => Promise<readonly number[]>) {
    this.request = request;
  }

  /** Rejects if the request does. */
  async count(text: string): Promise<number> {
    return this.known.get(text) ?? this.wanted.get(text) ?? this.ask(text);
  }

  private ask(text: string): Promise<number> {
    this.next ??= this.newRequest();
    const { texts, counts } = this.next;
    const place = texts.push(text) - 1;
    const own = counts.then(
      found => {
        this.wanted.delete(text);
        const count = found[place] ?? 0;
        this.keep(text, count);
        return count;
      },
      (error: unknown) => {
        this.wanted.delete(text);
        throw error;
      },
    );
    this.wanted.set(text, own);
    return own;
  }

  /** Starts a request when the previous one has ended. */
  private newRequest() {
    const texts: string[] = [];
    const counts = this.before.then(() => {
      this.next = undefined;
      return this.request(texts);
    });
    this.before = counts.catch(() => undefined);
    return { texts, counts };
  }

  private keep(text: string, count: number): void {
    this.known.set(text, count);
    const [oldest] = this.known.keys();
    if (this.known.size > MAX_KNOWN && oldest !== undefined) this.known.delete(oldest);
  }
}
