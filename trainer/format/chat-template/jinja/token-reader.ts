/** Reads the tokens of a template one by one. */
import { MAX_DEPTH } from './budget.ts';
import type { Token } from './lexer.ts';
import { TemplateError } from './template-error.ts';

export class TokenReader {
  private readonly tokens: readonly Token[];
  private at = 0;
  private depth = 0;
  /** Number of open loops. */
  loops = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  get current(): Token | undefined {
    return this.tokens[this.at];
  }

  next(): Token {
    const token = this.tokens[this.at++];
    return token ?? this.fail('the template ends too early');
  }

  is(kind: Token['kind'], value?: string, ahead = 0): boolean {
    const token = this.tokens[this.at + ahead];
    return token?.kind === kind && (value === undefined || token.value === value);
  }

  skip(kind: Token['kind'], value: string): boolean {
    const found = this.is(kind, value);
    if (found) this.at++;
    return found;
  }

  expect(kind: Token['kind'], value?: string): Token {
    return this.is(kind, value) ? this.next() : this.fail(`expected ${value ?? `a ${kind}`}`);
  }

  name(): string {
    return String(this.expect('name').value);
  }

  fail(message: string): never {
    const { line, value } = this.current ?? { line: this.tokens.at(-1)?.line ?? 1, value: undefined };
    const found = value === undefined ? '' : `, found ${JSON.stringify(String(value).slice(0, 40))}`;
    throw new TemplateError(`line ${line}: ${message}${found}`);
  }

  /** Limits how deeply a template is nested. */
  nested<T>(parse: () => T): T {
    if (++this.depth > MAX_DEPTH) this.fail(`expressions or blocks are nested more than ${MAX_DEPTH} deep`);
    const result = parse();
    this.depth--;
    return result;
  }
}
