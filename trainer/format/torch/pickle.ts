/**
 * Reads a pickle as data. It may build plain values and globals that its reader knows by name; any other global is refused, so that nothing
 * is ever imported or called. Only the opcodes that writers of state dicts use are supported (protocols 2 to 5).
 */
import { NeedMoreBytes } from '../byte-file.ts';
import { clip } from '../model-file-error.ts';

/** A global that a pickle may use. */
export class PickleGlobal {
  readonly name: string;
  /** Returns the result of a call; undefined for a global that is never called. */
  readonly call: ((args: readonly unknown[]) => unknown) | undefined;
  /** True if calling it makes a dict from the pairs in its first argument. */
  readonly isDict: boolean;

  constructor(name: string, call?: (args: readonly unknown[]) => unknown, { isDict = false } = {}) {
    this.name = name;
    this.call = call;
    this.isDict = isDict;
  }
}

export interface PickleRules {
  /** Supported globals by module and name, such as `collections.OrderedDict`. */
  readonly globals: ReadonlyMap<string, PickleGlobal>;
  /** Returns the value of a persistent id. */
  readonly persistent: (id: unknown) => unknown;
  /** Throws the error for an invalid pickle. */
  readonly fail: (message: string) => never;
}

/** Maximum size of an integer. Python's have any size; the longest in weight files has ten bytes. */
const MAX_INTEGER_BYTES = 64;

/** Maximum number of operations, each of which may create a value: a tensor takes about forty. */
const MAX_OPERATIONS = 10_000_000;
/** Maximum number of dicts: PyTorch writes one with each tensor. An empty one takes 200 bytes. */
const MAX_DICTS = 500_000;

/**
 * Reads one pickle: lists and tuples become arrays, dicts become Maps.
 * @returns the value, and the end position of the pickle
 * @throws NeedMoreBytes if the pickle continues after `bytes`, and the errors of `rules.fail`
 */
export function readPickle(bytes: Uint8Array, rules: PickleRules, start = 0): { readonly value: unknown; readonly end: number } {
  const machine = new Machine(bytes, rules, start);
  for (let operations = 0; ; operations++) {
    if (operations === MAX_OPERATIONS) return rules.fail(`has more than ${MAX_OPERATIONS} operations, which no state dict needs`);
    const opcode = machine.byte();
    if (opcode === STOP) return { value: machine.pop(), end: machine.position };
    const operation = OPERATIONS[String.fromCharCode(opcode)];
    if (operation === undefined)
      return rules.fail(
        `has the opcode 0x${opcode.toString(16).padStart(2, '0')} at byte ${machine.position - 1}, which no state dict needs`,
      );
    operation(machine);
  }
}

const STOP = 0x2e;

/** The stack machine that executes a pickle. */
class Machine {
  position: number;
  readonly rules: PickleRules;
  private readonly bytes: Buffer;
  private readonly stack: unknown[] = [];
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, unknown>();
  private dicts = 0;
  /** Number of values copied from others, which take no bytes of the pickle. */
  private copied = 0;

  constructor(bytes: Uint8Array, rules: PickleRules, start: number) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.rules = rules;
    this.position = start;
  }

  take(count: number): Buffer {
    if (count > this.bytes.length - this.position)
      throw new NeedMoreBytes(`a value at byte ${this.position} needs ${count} bytes, ${this.bytes.length - this.position} are there`);
    this.position += count;
    return this.bytes.subarray(this.position - count, this.position);
  }

  readonly byte = (): number => this.take(1).readUInt8();
  readonly u16 = (): number => this.take(2).readUInt16LE();
  readonly u32 = (): number => this.take(4).readUInt32LE();

  u64(): number {
    const value = this.take(8).readBigUInt64LE();
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? this.rules.fail(`claims a length of ${value} bytes`) : Number(value);
  }

  /** Reads a little-endian two's complement integer. */
  integer(length: number): number | bigint {
    if (length > MAX_INTEGER_BYTES) this.rules.fail(`has an integer of ${length} bytes; at most ${MAX_INTEGER_BYTES} are read`);
    let value = 0n;
    for (const byte of [...this.take(length)].reverse()) value = (value << 8n) | BigInt(byte);
    const signed = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
  }

  line(): string {
    const end = this.bytes.indexOf(0x0a, this.position);
    if (end < 0) throw new NeedMoreBytes(`a line at byte ${this.position} does not end`);
    const text = this.take(end - this.position).toString('utf8');
    this.position++;
    return text;
  }

  push(value: unknown): void {
    this.stack.push(value);
  }

  top(): unknown {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) this.underflow();
    return this.stack.at(-1);
  }

  pop(): unknown {
    const value = this.top();
    this.stack.pop();
    return value;
  }

  mark(): void {
    this.marks.push(this.stack.length);
  }

  popToMark(): unknown[] {
    return this.stack.splice(this.marks.pop() ?? this.underflow());
  }

  tuple(count: number): void {
    const items = Array.from({ length: count }, () => this.pop());
    this.push(items.reverse());
  }

  remember(key = this.memo.size): void {
    this.memo.set(key, this.top());
  }

  recall(key: number): void {
    if (!this.memo.has(key)) this.rules.fail(`recalls the value ${key}, which it never made`);
    this.push(this.memo.get(key));
  }

  /** Pushes an empty dict. */
  dict(): void {
    this.countDict();
    this.push(new Map());
  }

  /** Counts dicts and their entries, because a call may build dicts repeatedly from the same existing values. */
  private countDict(entries = 0): void {
    this.dicts++;
    this.copied += entries;
    if (this.dicts > MAX_DICTS) this.rules.fail(`makes more than ${MAX_DICTS} dicts, which no state dict needs`);
    if (this.copied > this.position) this.rules.fail('makes more values from those it has than it has bytes, which no state dict needs');
  }

  global(module: unknown, name: unknown): void {
    if (typeof module !== 'string' || typeof name !== 'string') this.rules.fail('asks for what has no name; nothing of it was run');
    const full = `${module}.${name}`;
    const known = this.rules.globals.get(full);
    this.push(known ?? this.rules.fail(`asks for ${clip(full)}, which is not part of a state dict; nothing of it was run`));
  }

  call(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!(callee instanceof PickleGlobal) || callee.call === undefined || !Array.isArray(args))
      this.rules.fail(`calls ${callee instanceof PickleGlobal ? callee.name : 'a plain value'}, which no state dict does`);
    else {
      if (callee.isDict) this.countDict(Array.isArray(args[0]) ? args[0].length : 0);
      this.push(callee.call(args));
    }
  }

  append(items: readonly unknown[]): void {
    const list = this.top();
    if (!Array.isArray(list)) this.rules.fail('appends to something that is not a list');
    else for (const item of items) list.push(item);
  }

  setItems(items: readonly unknown[]): void {
    const dict = this.top();
    if (!(dict instanceof Map) || items.length % 2 !== 0) this.rules.fail('sets items of something that is not a dict');
    else for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
  }

  /** Ignores the attributes of PyTorch's OrderedDict: module versions, which are not needed here. */
  build(): void {
    this.pop();
    if (!(this.top() instanceof Map)) this.rules.fail('sets attributes of something that is not a dict');
  }

  private underflow(): never {
    return this.rules.fail(`takes more values at byte ${this.position} than it has made`);
  }
}

const latin1 = (bytes: Buffer): string => bytes.toString('latin1');
const utf8 = (bytes: Buffer): string => bytes.toString('utf8');
/** Copies bytes, so that a value does not keep the whole file in memory. */
const copy = (bytes: Buffer): Uint8Array => Uint8Array.from(bytes);

const OPERATIONS: Readonly<Record<string, (machine: Machine) => void>> = {
  // PROTO and FRAME are not needed when all bytes are available.
  '\x80': m => void m.byte(),
  '\x95': m => void m.u64(),
  '(': m => m.mark(),
  '0': m => void m.pop(),
  '1': m => void m.popToMark(),
  '2': m => m.push(m.top()),
  N: m => m.push(null),
  '\x88': m => m.push(true),
  '\x89': m => m.push(false),
  J: m => m.push(m.take(4).readInt32LE()),
  K: m => m.push(m.byte()),
  M: m => m.push(m.u16()),
  '\x8a': m => m.push(m.integer(m.byte())),
  '\x8b': m => m.push(m.integer(m.u32())),
  G: m => m.push(m.take(8).readDoubleBE()),
  // Python 2's str holds bytes; names in a state dict are ASCII.
  T: m => m.push(latin1(m.take(m.u32()))),
  U: m => m.push(latin1(m.take(m.byte()))),
  X: m => m.push(utf8(m.take(m.u32()))),
  '\x8c': m => m.push(utf8(m.take(m.byte()))),
  '\x8d': m => m.push(utf8(m.take(m.u64()))),
  B: m => m.push(copy(m.take(m.u32()))),
  C: m => m.push(copy(m.take(m.byte()))),
  '\x8e': m => m.push(copy(m.take(m.u64()))),
  ')': m => m.push([]),
  ']': m => m.push([]),
  '}': m => m.dict(),
  '\x85': m => m.tuple(1),
  '\x86': m => m.tuple(2),
  '\x87': m => m.tuple(3),
  t: m => m.push(m.popToMark()),
  l: m => m.push(m.popToMark()),
  d: m => {
    const items = m.popToMark();
    m.dict();
    m.setItems(items);
  },
  a: m => {
    const item = m.pop();
    m.append([item]);
  },
  e: m => m.append(m.popToMark()),
  s: m => {
    const value = m.pop();
    const key = m.pop();
    m.setItems([key, value]);
  },
  u: m => m.setItems(m.popToMark()),
  q: m => m.remember(m.byte()),
  r: m => m.remember(m.u32()),
  '\x94': m => m.remember(),
  h: m => m.recall(m.byte()),
  j: m => m.recall(m.u32()),
  c: m => {
    const module = m.line();
    m.global(module, m.line());
  },
  '\x93': m => {
    const name = m.pop();
    m.global(m.pop(), name);
  },
  R: m => m.call(),
  b: m => m.build(),
  Q: m => m.push(m.rules.persistent(m.pop())),
};
