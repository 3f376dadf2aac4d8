/** The errors of a run: a stable code, a sentence and a hint; and the conversion of any error for the parent process. */

import { ReadRefusedError } from './files/regular-file.ts';
import { codeOf, messageOf } from './protocol/error-facts.ts';
import type { JobKind, WorkerEvent } from './protocol/messages/job-messages.ts';
import { memoryHint } from './protocol/messages/memory-hint.ts';

export type RunErrorCode =
  | 'output-not-empty'
  | 'output-unusable'
  | 'run-busy'
  | 'run-missing'
  | 'model-missing'
  | 'checkpoint-missing'
  | 'checkpoint-mismatch'
  | 'checkpoint-damaged'
  | 'invalid-override'
  | 'nothing-left'
  | 'no-data'
  | 'unsupported'
  | 'wrong-task'
  | 'disk-full'
  | 'disk-error'
  | 'no-permission'
  | 'loss-diverged'
  | 'bad-sweep'
  | 'sweep-failed'
  | 'rank-lost'
  | 'out-of-memory'
  | 'ranks-differ'
  | 'mpi-missing'
  | 'bad-profile'
  | 'damaged-notes'
  | 'slurm-failed'
  | 'port-unavailable'
  | 'stopped';

export class RunError extends Error {
  override name = 'RunError';
  readonly code: RunErrorCode;
  /** How to fix it. */
  readonly hint: string | undefined;

  constructor(code: RunErrorCode, message: string, hint?: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }
}

/** The failure of one of the processes of a run, as that process reported it. */
export class RankFailure extends Error {
  override name = 'RankFailure';
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, hint?: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

/** Errors whose message is meant for the user, by name; the value is the code that scripts see. */
const USER_ERRORS: Readonly<Record<string, string>> = {
  RecipeError: 'recipe',
  AdapterError: 'adapter',
  DataError: 'data',
  ImageLibraryError: 'image-library',
  ModelFileError: 'model-file',
  ModelConfigError: 'model-config',
  ChatTemplateError: 'chat-template',
  SelectionError: 'selection',
  TargetError: 'target-modules',
  ImportanceError: 'importance',
  EngineError: 'engine',
  HubError: 'hub',
  GenerateError: 'generate',
  ExportError: 'export',
  GoldenError: 'reference',
  ReadStopped: 'read-stopped',
};

interface SystemError {
  readonly code: string;
  readonly hint: string;
  /** Description of the problem if the system does not say which file is affected. */
  readonly full?: string;
}

/** File system errors that are self-explanatory. */
const SYSTEM_ERRORS: Readonly<Record<string, SystemError>> = {
  ENOSPC: { code: 'disk-full', full: 'the disk is full', hint: 'Free disk space' },
  EDQUOT: { code: 'disk-full', full: 'your disk quota is used up', hint: 'Free some space' },
  EACCES: { code: 'no-permission', hint: 'Choose a folder that you may write to' },
  EPERM: { code: 'no-permission', hint: 'Choose a folder that you may write to' },
  EIO: { code: 'disk-error', hint: 'Check the disk' },
  ENXIO: { code: 'disk-error', hint: 'Check the disk' },
  ESTALE: { code: 'disk-error', hint: 'The shared disk has lost this file: mount it again' },
  EMFILE: { code: 'too-many-files', hint: 'Raise the limit of open files (ulimit -n)' },
  ENFILE: { code: 'too-many-files', hint: 'The system has no more open files: end other programs' },
  ENOTDIR: { code: 'bad-path', hint: 'A part of the path is a file, not a folder: choose another path' },
  EISDIR: { code: 'bad-path', hint: 'The path leads to a folder, not to a file: choose another path' },
  ELOOP: { code: 'bad-path', hint: 'A link in the path leads in a circle: choose another path' },
  ENAMETOOLONG: { code: 'bad-path', hint: 'The path is too long: choose a shorter one' },
  EROFS: { code: 'no-permission', hint: 'The disk is read-only: make it writable, or choose another folder' },
};

/** Messages of TensorFlow and the C++ library about a lack of memory. */
const OUT_OF_MEMORY = /OOM when allocating|RESOURCE_EXHAUSTED|ResourceExhausted|bad_alloc|Array buffer allocation failed/;

/** Adds the file to an error about a full disk, which the system does not name. @returns any other error unchanged */
export function namingFullDisk(error: unknown, file: string): unknown {
  const { full, hint } = SYSTEM_ERRORS[codeOf(error) ?? ''] ?? {};
  return full === undefined ? error : new RunError('disk-full', `${full}: ${file} could not be written`, hint, { cause: error });
}

export interface Failure {
  readonly event: Extract<WorkerEvent, { type: 'failed' }>;
  /** True if the error is a bug in this program: its stack belongs in a log. */
  readonly unexpected: boolean;
}

/** Converts whatever was thrown to the last event of a job, of this kind. */
export function describeFailure(error: unknown, kind?: JobKind): Failure {
  const tell = (code: string, message: string, hint?: string, unexpected = false): Failure => ({
    event: { type: 'failed', code, message, hint },
    unexpected,
  });
  if (!(error instanceof Error)) return tell('internal', String(error), undefined, true);
  if (error instanceof RunError || error instanceof RankFailure || error instanceof ReadRefusedError)
    return tell(error.code, error.message, error.hint);
  if (OUT_OF_MEMORY.test(error.message)) return tell('out-of-memory', firstLine(error.message), memoryHint(kind));
  const known = USER_ERRORS[error.name];
  if (known) return tell(known, error.message);
  const system = SYSTEM_ERRORS[codeOf(error) ?? ''];
  if (system) return tell(system.code, system.full === undefined ? messageOf(error) : `${system.full} (${messageOf(error)})`, system.hint);
  return tell('internal', error.message, 'This is a fault of rowtune: please report it with the log', true);
}

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? text;
