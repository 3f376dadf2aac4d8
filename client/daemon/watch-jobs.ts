/** Follows the jobs: updates context keys and views, and notifies the user when a training ends or has ended. */
import { commands, window, workspace } from 'vscode';
import { canBeTried } from '../../trainer/catalog/objectives.ts';
import type { JobRecord } from '../../trainer/protocol/messages/rpc-messages.ts';
import type { App } from '../app.ts';
import { reportError } from '../ask/error-report.ts';
import { COMMANDS } from '../commands/command-ids.ts';
import { setContext } from '../context-keys.ts';
import { kindText, metricText } from '../status/status-text.ts';
import { throttle } from '../throttle.ts';
import type { Views } from '../views/views.ts';
import { hasEnded, isTraining, writesRuns } from './job-store.ts';
import { failedText, idsToRemember, type MissedJobNotice, missedJobNotices } from './missed-jobs.ts';

/** Key in the workspace state: ids of jobs that were running. */
const REMEMBERED = 'rowtune.activeJobs';

export function watchJobs(app: App, views: Views): { dispose(): void } {
  const { store, notify } = app;
  const notices = createNotices(app, views);
  const draw = throttle(
    () => {
      setContext('rowtune.hasActiveJobs', store.active().length > 0);
      views.redrawRuns();
    },
    () => app.settings().updateIntervalMs,
  );
  /** Reloads the views when a record changes its state or phase, for example because the folder exists now or the run ended. */
  const reload = throttle(
    () => void views.reloadRuns(),
    () => 2 * app.settings().updateIntervalMs,
  );
  const stops = [
    store.onChanged(job => {
      notices.changed(job);
      if (writesRuns(job)) reload.call();
      draw.call();
    }),
    store.onEvent(({ jobId, event }) => {
      draw.call();
      if (event.type === 'log') app.output.write(event.level, `${store.get(jobId)?.title ?? jobId}: ${event.message}`);
    }),
    app.onDaemonState(state => {
      setContext('rowtune.daemonRunning', state.kind === 'connected');
      draw.call();
      if (state.kind === 'connected') notices.catchUp();
      if (state.kind === 'failed') notify.error(state.error);
    }),
  ];
  const settings = workspace.onDidChangeConfiguration(change => {
    followSettings(app, views, names => names.some(name => change.affectsConfiguration(name)));
  });
  const trust = workspace.onDidGrantWorkspaceTrust(() => void joinQuietly(app));
  // Deferred until after activation, because the editor waits for activation.
  const joining = setTimeout(() => void joinQuietly(app));
  return {
    dispose() {
      clearTimeout(joining);
      for (const stop of stops) stop();
      settings.dispose();
      trust.dispose();
      draw.dispose();
      reload.dispose();
    },
  };
}

/** Notifies the user when a training ends, or ended while no window was open. */
function createNotices(app: App, views: Views) {
  const { store, context } = app;
  let remembered = context.workspaceState.get<readonly string[]>(REMEMBERED, []);
  let isCaughtUp = false;

  const remember = (): void => {
    const ids = idsToRemember(store.list());
    if (ids.join() === remembered.join()) return;
    remembered = ids;
    void context.workspaceState.update(REMEMBERED, ids);
  };

  /** Reports the end of a training; for other jobs, the command that started the job does. */
  const notifyEnd = (job: JobRecord): void => {
    if (!isCaughtUp || !isTraining(job) || !hasEnded(job) || !remembered.includes(job.id)) return;
    if (job.state === 'failed') {
      const { message } = reportError(job.failure, { hasRecipe: false, isRemote: app.services.isRemote() });
      void tell(app, views, { job, message: failedText(job, '', message), severity: 'error' });
    } else if (job.state === 'succeeded' && app.settings().tellsFinished) {
      const metric = metricText(job.metrics?.values);
      const message = `${kindText(job)} of ${job.title} is finished${metric === undefined ? '' : `: ${metric}`}.`;
      void tell(app, views, { job, message, severity: 'info' });
    }
  };

  return {
    changed: (job: JobRecord): void => {
      notifyEnd(job);
      // Deferred until the list of records is complete, because any of them may end a remembered job.
      if (isCaughtUp) queueMicrotask(remember);
    },
    /** Reports, once per window, the jobs that ended since it was last closed. */
    catchUp: (): void => {
      if (isCaughtUp) return;
      isCaughtUp = true;
      for (const notice of missedJobNotices(remembered, store.list())) void tell(app, views, notice);
      remember();
    },
  };
}

/** Shows a message about a run with buttons for the next steps. */
async function tell(app: App, views: Views, { job, message, severity }: MissedJobNotice): Promise<void> {
  const open = job.runDir === undefined ? [] : ['Open Run'];
  const resume = severity === 'error' && job.resume !== undefined ? ['Resume'] : [];
  const isTried = severity === 'info' && job.state === 'succeeded' && isTraining(job) && (await answers(app, views, job));
  const tryIt = isTried ? ['Try the Model'] : [];
  const show = severity === 'error' ? window.showErrorMessage : window.showInformationMessage;
  const chosen = await show(message, ...open, ...resume, ...tryIt);
  if (chosen === 'Open Run') await commands.executeCommand(COMMANDS.openRun, job.runDir);
  if (chosen === 'Resume') await commands.executeCommand(COMMANDS.resume, job.runDir);
  if (chosen === 'Try the Model') await commands.executeCommand(COMMANDS.tryModel, job.runDir);
}

/** True if the model of a run can be tried. */
async function answers({ daemon }: App, views: Views, { runDir }: JobRecord): Promise<boolean> {
  const client = daemon.current;
  const runs = client === undefined ? [] : await views.listRuns(client).catch(() => []);
  return runs.some(run => run.runDir === runDir && canBeTried(run.task));
}

/** @param changed returns true if one of the named settings changed */
function followSettings(app: App, views: Views, changed: (names: readonly string[]) => boolean): void {
  if (changed(['rowtune.daemon.url', 'rowtune.daemon.certificate'])) {
    app.daemon.disconnect();
    void joinQuietly(app);
  }
  if (changed(['rowtune.daemon.folder'])) void Promise.all([views.reloadRuns(), views.reloadModels()]);
  if (changed(['rowtune.engine', 'rowtune.node', 'rowtune.trainerPath'])) void offerStart(app);
}

/** Connects to a daemon that is already running; reports nothing if there is none. */
async function joinQuietly(app: App): Promise<void> {
  if (!workspace.isTrusted) return;
  await app.daemon.join().catch((error: unknown) => app.output.write('warning', String(error)));
}

/** Offers to start the daemon with the new setting, which it reads only then. */
async function offerStart({ daemon, settings }: App): Promise<void> {
  const { state } = daemon;
  if (state.kind === 'connected' && !state.isRemote) {
    const chosen = await window.showInformationMessage('The trainer daemon uses this setting after a restart.', 'Restart Daemon');
    if (chosen !== undefined) await commands.executeCommand(COMMANDS.restartDaemon);
  } else if (state.kind === 'failed' && settings().daemonUrl === '') {
    const chosen = await window.showInformationMessage('The trainer daemon did not start with the previous setting.', 'Start Daemon');
    if (chosen !== undefined) await commands.executeCommand(COMMANDS.startDaemon);
  }
}
