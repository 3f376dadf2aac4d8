/**
 * Loaded into a program before everything else (node --require). Counts its file operations in some folders and makes one of them fail,
 * without the program's knowledge. The variable ROWTUNE_TEST_FAULT (a FaultPlan as JSON) or `globalThis.setFault` selects the operation.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { type FaultKind, type FaultMode, type FaultOperation, type FaultPlan, isFaultPlan } from './fault-plan.ts';

const NO_PLAN: FaultPlan = { folders: [], report: '' };
let plan = givenPlan(process.env.ROWTUNE_TEST_FAULT);
const original = { appendFileSync: fs.appendFileSync, writeFileSync: fs.writeFileSync };
const handles = new WeakMap<object, string>();
const files = new Map<number, string>();
let count = 0;
/** True inside a call: a system function may use another watched one, and only the outer one counts. */
let isInside = false;

function givenPlan(text: string | undefined): FaultPlan {
  if (text === undefined) return NO_PLAN;
  const given: unknown = JSON.parse(text);
  if (isFaultPlan(given)) return given;
  throw new Error(`ROWTUNE_TEST_FAULT is no plan: ${text}`);
}

const isWatched = (file: string): boolean => plan.folders.some(folder => file === folder || file.startsWith(folder + path.sep));

function pathOf(value: unknown): string {
  if (typeof value === 'string') return path.resolve(value);
  if (typeof value === 'number') return files.get(value) ?? '';
  if (value instanceof URL) return value.pathname;
  if (Buffer.isBuffer(value)) return value.toString();
  return (typeof value === 'object' && value !== null && handles.get(value)) || '';
}

const ERRORS: Readonly<Record<FaultKind, readonly [code: string, text: string]>> = {
  open: ['EIO', 'i/o error'],
  read: ['EIO', 'i/o error'],
  write: ['ENOSPC', 'no space left on device'],
  sync: ['EIO', 'i/o error'],
  rename: ['EIO', 'i/o error'],
  remove: ['EIO', 'i/o error'],
  make: ['ENOSPC', 'no space left on device'],
  list: ['EIO', 'i/o error'],
};

function systemError({ kind, call, path: file }: FaultOperation): Error {
  const [code, text] = ERRORS[kind];
  return Object.assign(new Error(`${code}: ${text}, ${call} '${file}'`), { code, errno: -5, syscall: call, path: file });
}

function tell(operation: FaultOperation): void {
  original.appendFileSync(plan.report, `${JSON.stringify(operation)}\n`);
}

/** @returns the fault of this operation, if any */
function faultOf(
  kind: FaultKind,
  call: string,
  file: string,
): { readonly operation: FaultOperation; readonly mode: FaultMode } | undefined {
  if (isInside || file === '' || !isWatched(file)) return undefined;
  const operation = { index: count++, kind, call, path: file };
  if (plan.at === undefined) tell(operation);
  if (plan.at !== operation.index) return undefined;
  tell(operation);
  return { operation, mode: plan.mode ?? 'error' };
}

const die = (): void => void process.kill(process.pid, 'SIGKILL');

/** Returns half of the data of a write, at least a byte less than all of it. */
function half(data: unknown): string | Buffer {
  if (typeof data === 'string') return data.slice(0, data.length >> 1);
  const bytes = ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.alloc(0);
  return bytes.subarray(0, bytes.length >> 1);
}

/** Returns the arguments of `write(buffer, offset, length, position)`, `write(string, position)` or `read` with half the length. */
function halfLength(args: unknown[]): unknown[] {
  const [data, second, third, ...rest] = args;
  if (typeof data === 'string') return [data.slice(0, Math.max(1, data.length >> 1)), second, third, ...rest];
  if (!ArrayBuffer.isView(data)) return args;
  if (typeof second === 'object' && second !== null) return args;
  const offset = typeof second === 'number' ? second : 0;
  const length = typeof third === 'number' ? third : data.byteLength - offset;
  return [data, offset, Math.max(1, length >> 1), ...rest];
}

/** Wraps one function of a table; `fileOf` returns the file that a call is about. */
function wrap(table: object, name: string, kind: FaultKind, isAsync: boolean, fileOf: (self: unknown, args: unknown[]) => string): void {
  const real: unknown = Reflect.get(table, name);
  if (typeof real !== 'function') return;
  const call = (self: unknown, args: unknown[]): unknown => outer(() => Reflect.apply(real, self, args));
  const run = (self: unknown, args: unknown[]): unknown => {
    const found = faultOf(kind, name, fileOf(self, args));
    if (found === undefined) return call(self, args);
    const { operation, mode } = found;
    const isPart = /^(?:write|read)(?:Sync)?$/.test(name);
    // If operations come in a different order than in the listed run, an operation that cannot be short fails.
    if (mode === 'error' || (mode === 'short' && kind !== 'write' && kind !== 'read')) throw systemError(operation);
    if (mode === 'kill' || mode === 'short') {
      if (kind === 'write' || kind === 'read') {
        const firstOfData = isAsync && self !== fs.promises ? 0 : 1;
        if (isPart) {
          const shorter = [...args.slice(0, firstOfData), ...halfLength(args.slice(firstOfData))];
          const done = call(self, shorter);
          if (mode === 'short') return done;
        } else if (kind === 'write') writeHalf(name, operation.path, args[firstOfData]);
        else return call(self, args);
        if (mode === 'short') throw systemError(operation);
      }
      // Give an asynchronous write of half the data a few milliseconds.
      if (isAsync && isPart) return new Promise(() => setTimeout(die, 5));
      die();
      return new Promise(() => undefined);
    }
    const done = call(self, args);
    if (done instanceof Promise) return done.then(() => new Promise(() => die()));
    die();
    return done;
  };
  const wrapped = isAsync
    ? async function (this: unknown, ...args: unknown[]) {
        return run(this, args);
      }
    : function (this: unknown, ...args: unknown[]) {
        return run(this, args);
      };
  Reflect.set(table, name, wrapped);
}

function outer(call: () => unknown): unknown {
  if (isInside) return call();
  // The system's functions call each other before their first await.
  isInside = true;
  try {
    return call();
  } finally {
    isInside = false;
  }
}

function writeHalf(name: string, file: string, data: unknown): void {
  const flag = name.startsWith('append') ? 'a' : 'w';
  isInside = true;
  try {
    original.writeFileSync(file, half(data), { flag });
  } finally {
    isInside = false;
  }
}

const first = (_: unknown, [file]: unknown[]): string => pathOf(file);
const self = (handle: unknown): string => pathOf(handle);

function install(): void {
  const kinds: Readonly<Record<string, FaultKind>> = {
    open: 'open',
    readFile: 'read',
    writeFile: 'write',
    appendFile: 'write',
    copyFile: 'write',
    rename: 'rename',
    rm: 'remove',
    rmdir: 'remove',
    unlink: 'remove',
    mkdir: 'make',
    readdir: 'list',
    opendir: 'list',
  };
  const realOpen = fs.promises.open;
  const realOpenSync = fs.openSync;
  fs.promises.open = async (...args: Parameters<typeof realOpen>) => {
    const handle = await realOpen(...args);
    handles.set(handle, pathOf(args[0]));
    return handle;
  };
  fs.openSync = (...args: Parameters<typeof realOpenSync>) => {
    const file = realOpenSync(...args);
    files.set(file, pathOf(args[0]));
    return file;
  };
  for (const [name, kind] of Object.entries(kinds)) {
    wrap(fs.promises, name, kind, true, name === 'copyFile' ? (_, args) => pathOf(args[1]) : first);
    wrap(fs, `${name}Sync`, kind, false, name === 'copyFile' ? (_, args) => pathOf(args[1]) : first);
  }
  for (const [name, kind] of [
    ['readSync', 'read'],
    ['writeSync', 'write'],
    ['fsyncSync', 'sync'],
    ['fdatasyncSync', 'sync'],
    ['ftruncateSync', 'write'],
  ] as const)
    wrap(fs, name, kind, false, first);
  void realOpen(process.execPath, 'r').then(async handle => {
    const prototype: object = Object.getPrototypeOf(handle);
    await handle.close();
    for (const [name, kind] of [
      ['read', 'read'],
      ['readFile', 'read'],
      ['write', 'write'],
      ['writeFile', 'write'],
      ['appendFile', 'write'],
      ['truncate', 'write'],
      ['sync', 'sync'],
      ['datasync', 'sync'],
    ] as const)
      wrap(prototype, name, kind, true, self);
  });
  syncBuiltinESMExports();
}

/** For a process that runs several jobs: sets the plan for the next job and restarts counting. */
Object.assign(globalThis, {
  setFault: (next: FaultPlan | undefined) => {
    plan = next ?? NO_PLAN;
    count = 0;
  },
});
install();
