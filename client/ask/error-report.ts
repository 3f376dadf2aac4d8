/** From anything that was thrown to what a user is told: a sentence, what to do, and the buttons that do it. Never a stack. */

/** What a button does; `client/ask/notify.ts` has the functions. */
export type Remedy =
  | 'installEngine'
  | 'showDaemonLog'
  | 'showLog'
  | 'openRecipe'
  | 'openNodeSetting'
  | 'openUrlSetting'
  | 'enterToken'
  | 'restartDaemon'
  | 'startDaemon'
  | 'reconnect'
  | 'showProblems'
  | 'doctor'
  | 'manageTrust';

export interface ErrorReport {
  readonly message: string;
  readonly remedies: readonly Remedy[];
}

interface Known {
  /** In place of the daemon's own hint, which is written for a terminal. */
  readonly hint?: string;
  readonly remedies: readonly Remedy[];
}

/** By the stable code of the error; what is not here has its own hint and the log. */
const KNOWN: Readonly<Record<string, Known>> = {
  'bad-recipe': { hint: 'See the problems that are marked in the recipe.', remedies: ['openRecipe', 'showProblems'] },
  'daemon-missing': { hint: 'Start the daemon.', remedies: ['startDaemon', 'showDaemonLog'] },
  'daemon-gone': { hint: 'Start the daemon again; training that was cut off can be resumed.', remedies: ['startDaemon', 'showDaemonLog'] },
  'daemon-crashes': { hint: 'Its log says why.', remedies: ['showDaemonLog', 'restartDaemon'] },
  'daemon-start': { hint: 'Its log says why.', remedies: ['showDaemonLog', 'doctor'] },
  'daemon-token': { hint: 'Enter it by Rowtune: Connect to a Daemon on Another Machine.', remedies: ['enterToken', 'openUrlSetting'] },
  'daemon-refused': { hint: 'Check the token and the address of the daemon.', remedies: ['enterToken', 'openUrlSetting'] },
  'daemon-full': { hint: 'Close windows that are connected to it.', remedies: [] },
  'daemon-unresponsive': { remedies: ['showDaemonLog'] },
  'state-unwritable': { hint: 'Free some space on the disk of that folder, and make it writable.', remedies: [] },
  'not-recorded': { hint: "Free some space on the disk of the daemon's folder, and try again.", remedies: [] },
  'daemon-untrusted': {
    hint: 'Give its certificate in the setting rowtune.daemon.certificate, and the name that it is for in the address.',
    remedies: ['openUrlSetting'],
  },
  'workspace-untrusted': { hint: 'Trust it first.', remedies: ['manageTrust'] },
  'protocol-mismatch': { hint: 'Restart the daemon, so that it has the version of this extension.', remedies: ['restartDaemon'] },
  'node-unusable': { remedies: ['openNodeSetting'] },
  engine: { remedies: ['installEngine', 'doctor'] },
  'out-of-memory': { remedies: ['openRecipe'] },
  'output-not-empty': {
    hint: 'Choose another output_dir, set overwrite_output_dir: true, or resume the run that is there.',
    remedies: ['openRecipe'],
  },
  'run-busy': { hint: 'Stop the job that is at work there first.', remedies: [] },
  data: { remedies: ['openRecipe'] },
  'no-data': { remedies: ['openRecipe'] },
  'model-missing': { hint: 'Check the path; a model of the hub is downloaded when a training first needs it.', remedies: ['openRecipe'] },
  'model-config': { remedies: ['openRecipe'] },
  'model-file': { remedies: ['openRecipe'] },
  'target-modules': { remedies: ['openRecipe'] },
  importance: { remedies: ['openRecipe'] },
};

/** What else is to be done where the daemon is on another machine. */
const KNOWN_FAR: Readonly<Record<string, Known>> = {
  'daemon-missing': {
    hint: 'Is it started over there, and is the tunnel up? Check the setting rowtune.daemon.url.',
    remedies: ['reconnect', 'openUrlSetting'],
  },
  'daemon-gone': { hint: 'Is it started over there, and is the tunnel up?', remedies: ['reconnect', 'openUrlSetting'] },
  'protocol-mismatch': { hint: 'Both machines need the same version of rowtune.', remedies: ['openUrlSetting'] },
};

/** A longer message is cut: a notification is read at a glance, and the log has all of it. */
const MAX_MESSAGE = 400;

/** @param given what is known of the surroundings: without a recipe there is none to open */
export function reportError(error: unknown, given: { readonly hasRecipe: boolean; readonly isRemote: boolean }): ErrorReport {
  const { code, hint } = codeAndHint(error);
  const known = code === undefined ? undefined : ((given.isRemote ? KNOWN_FAR[code] : undefined) ?? KNOWN[code]);
  const message = oneParagraph(error instanceof Error ? error.message : messageOf(error));
  const advice = known?.hint ?? hint;
  const remedies = (known?.remedies ?? ['showLog']).filter(remedy => remedy !== 'openRecipe' || given.hasRecipe);
  return { message: advice === undefined ? message : `${withStop(message)} ${withStop(advice)}`, remedies };
}

/** The user ended it: nothing to tell. */
export const isCanceled = (error: unknown): boolean => ['canceled', 'stopped'].includes(codeAndHint(error).code ?? '');

/** What goes into the log of the extension: an error with a code is told by its message, any other one is a fault of ours, told by its stack. */
export function logText(error: unknown): string {
  const { code, hint } = codeAndHint(error);
  if (code === undefined && error instanceof Error) return error.stack ?? error.message;
  return [messageOf(error), hint, code === undefined ? undefined : `(${code})`].filter(text => text !== undefined).join(' ');
}

function codeAndHint(error: unknown): { readonly code?: string; readonly hint?: string } {
  if (typeof error !== 'object' || error === null) return {};
  const { code, hint } = error as { readonly code?: unknown; readonly hint?: unknown };
  return { code: typeof code === 'string' ? code : undefined, hint: typeof hint === 'string' ? hint : undefined };
}

function messageOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message);
  return String(error);
}

function oneParagraph(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  // An address, and the name of a file or a setting, is written as it is.
  const sentence = /^\S+[./\\_]\S/.test(line) ? line : line.charAt(0).toUpperCase() + line.slice(1);
  return sentence.length <= MAX_MESSAGE ? sentence : `${sentence.slice(0, MAX_MESSAGE - 1)}…`;
}

const withStop = (text: string): string => (/[.!?…]$/.test(text) ? text : `${text}.`);
