/**
 * Turns any thrown value into a message for the user: a sentence, a hint, and buttons for the steps in the hint. Never shows a stack trace.
 */
import { asParagraph, withStop } from '../../trainer/protocol/text/paragraph.ts';
import type { Remedy } from './remedies.ts';

export interface ErrorReport {
  readonly message: string;
  readonly remedies: readonly Remedy[];
}

interface Known {
  /** Replaces the daemon's hint, which is written for a terminal. */
  readonly hint?: string;
  readonly remedies: readonly Remedy[];
}

/** Hints by error code. Other errors keep their own hint and offer the log. */
const KNOWN: Readonly<Record<string, Known>> = {
  'bad-recipe': { hint: 'Fix the problems that are marked in the recipe.', remedies: ['openRecipe', 'showProblems'] },
  'daemon-missing': { hint: 'Start the daemon.', remedies: ['startDaemon', 'showDaemonLog'] },
  'daemon-gone': { hint: 'Restart the daemon; interrupted training can be resumed.', remedies: ['startDaemon', 'showDaemonLog'] },
  'daemon-crashes': { hint: 'The log of the daemon shows the reason.', remedies: ['showDaemonLog', 'restartDaemon'] },
  'daemon-start': { hint: 'The log of the daemon shows the reason.', remedies: ['startDaemon', 'showDaemonLog'] },
  'daemon-token': { hint: 'Enter it with Rowtune: Connect to a Daemon on Another Machine.', remedies: ['enterToken', 'openUrlSetting'] },
  'daemon-refused': { hint: 'Check the token and the address of the daemon.', remedies: ['enterToken', 'openUrlSetting'] },
  'daemon-full': { hint: 'Close other windows that are connected to it.', remedies: [] },
  'daemon-unresponsive': { remedies: ['showDaemonLog'] },
  'state-unwritable': { hint: 'Free disk space for that folder, and make it writable.', remedies: [] },
  'not-recorded': { hint: 'Free disk space for the folder of the daemon, and try again.', remedies: [] },
  'daemon-untrusted': {
    hint: 'Set rowtune.daemon.certificate to its certificate, and use the host name of the certificate in the address.',
    remedies: ['openUrlSetting'],
  },
  'workspace-untrusted': { hint: 'Trust the workspace first.', remedies: ['manageTrust'] },
  'protocol-mismatch': { hint: 'Restart the daemon, so that its version matches this extension.', remedies: ['restartDaemon'] },
  'node-unusable': { remedies: ['openNodeSetting'] },
  'trainer-unusable': { remedies: ['openTrainerSetting'] },
  engine: { remedies: ['installEngine', 'doctor'] },
  'image-library': { remedies: ['installImages', 'doctor'] },
  'out-of-memory': { remedies: ['openRecipe'] },
  'output-not-empty': {
    hint: 'Choose another output_dir, set overwrite_output_dir: true, or resume the existing run.',
    remedies: ['openRecipe'],
  },
  'output-unusable': { remedies: ['openRecipe'] },
  'run-busy': { hint: 'Stop the job that uses this folder first.', remedies: [] },
  data: { remedies: ['openRecipe'] },
  'no-data': { remedies: ['openRecipe'] },
  'model-missing': { hint: 'Check the path. A model from the hub is downloaded when a training first needs it.', remedies: ['openRecipe'] },
  'model-config': { remedies: ['openRecipe'] },
  'model-file': { remedies: ['openRecipe'] },
  'target-modules': { remedies: ['openRecipe'] },
  importance: { remedies: ['openRecipe'] },
};

/** Further hints if the daemon is on another machine. */
const KNOWN_FAR: Readonly<Record<string, Known>> = {
  'daemon-missing': {
    hint: 'Check that the daemon is running on that machine, that the tunnel is up, and that rowtune.daemon.url is right.',
    remedies: ['reconnect', 'openUrlSetting'],
  },
  'daemon-gone': {
    hint: 'Check that the daemon is running on that machine and that the tunnel is up.',
    remedies: ['reconnect', 'openUrlSetting'],
  },
  'image-library': { hint: 'Run the command on that machine.', remedies: ['doctor'] },
  'protocol-mismatch': { hint: 'Install the same version of Rowtune on both machines.', remedies: ['openUrlSetting'] },
};

/** Longer messages are truncated: people only glance at a notification, and the log has the whole text. */
const MAX_MESSAGE = 400;

/** @param given the context: without a recipe, there is no recipe to open */
export function reportError(error: unknown, given: { readonly hasRecipe: boolean; readonly isRemote: boolean }): ErrorReport {
  const { code, hint } = codeAndHint(error);
  const known = code === undefined ? undefined : ((given.isRemote ? KNOWN_FAR[code] : undefined) ?? KNOWN[code]);
  const message = oneParagraph(error instanceof Error ? error.message : messageOf(error));
  const advice = known?.hint ?? hint;
  const remedies = (known?.remedies ?? ['showLog']).filter(remedy => remedy !== 'openRecipe' || given.hasRecipe);
  return { message: advice === undefined ? message : `${withStop(message)} ${withStop(advice)}`, remedies };
}

/** True if the user ended the action, so there is nothing to report. */
export const isCanceled = (error: unknown): boolean => ['canceled', 'stopped'].includes(codeAndHint(error).code ?? '');

/** The log entry of an error: the message if the error has a code, otherwise the stack, because it is a bug of ours. */
export function logText(error: unknown): string {
  const { code, hint } = codeAndHint(error);
  if (code === undefined && error instanceof Error) return error.stack ?? error.message;
  return [messageOf(error), hint, code === undefined ? undefined : `(${code})`].filter(text => text !== undefined).join(' ');
}

function codeAndHint(error: unknown): { readonly code?: string; readonly hint?: string } {
  if (typeof error !== 'object' || error === null) return {};
  const code = 'code' in error ? error.code : undefined;
  const hint = 'hint' in error ? error.hint : undefined;
  return { code: typeof code === 'string' ? code : undefined, hint: typeof hint === 'string' ? hint : undefined };
}

function messageOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message);
  return String(error);
}

function oneParagraph(text: string): string {
  const line = asParagraph(text);
  // Keep the spelling of addresses and of names of files and settings.
  const sentence = /^\S+[./\\_]\S/.test(line) ? line : line.charAt(0).toUpperCase() + line.slice(1);
  return sentence.length <= MAX_MESSAGE ? sentence : `${sentence.slice(0, MAX_MESSAGE - 1)}…`;
}
