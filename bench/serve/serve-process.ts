/** A process that stays loaded between measurements, so that the rounds of several sides alternate. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { BenchError } from '../run-side.ts';

const KEPT_OUTPUT_CHARS = 2000;

/** One line in, a JSON object, is answered by one line out; the process prints `{}` when it is ready. */
export class ServeProcess<Asked, Answered> {
  private readonly lines: AsyncIterator<string>;
  private readonly ask: (line: string) => void;
  private readonly whenEnded: Promise<unknown>;
  private output = '';

  constructor([program = '', ...args]: readonly string[], env: Readonly<Record<string, string>>) {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.output = (this.output + text).slice(-KEPT_OUTPUT_CHARS);
    });
    this.whenEnded = new Promise(resolve => {
      child.on('close', resolve).on('error', resolve);
    });
    // A process that has ended cannot read; its missing answer is the error.
    child.stdin.on('error', () => undefined);
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.ask = line => (line === '' ? child.stdin.end() : child.stdin.write(`${line}\n`));
  }

  /** @throws BenchError with the process's output if it ends first */
  async ready(): Promise<void> {
    await this.answer();
  }

  /** @throws BenchError with the process's output if it ends first */
  async measure(asked: Asked): Promise<Answered> {
    this.ask(JSON.stringify(asked));
    // The process prints the type that the caller names.
    const answered: Answered = JSON.parse(await this.answer());
    return answered;
  }

  async end(): Promise<void> {
    this.ask('');
    await this.whenEnded;
  }

  private async answer(): Promise<string> {
    for (let line = await this.lines.next(); !line.done; line = await this.lines.next()) if (line.value.startsWith('{')) return line.value;
    throw new BenchError(`a process that serves has ended:\n${this.output.trim()}`);
  }
}
