/** The header of the page: name, state, progress and actions of the run. */
import { labelIn, methodLabel } from '../../trainer/catalog/labels.ts';
import { choosesByScores } from '../../trainer/catalog/methods.ts';
import { canBeTried } from '../../trainer/catalog/objectives.ts';
import { isOnCluster } from '../../trainer/protocol/run/cluster.ts';
import { duration } from '../../trainer/protocol/text/format.ts';
import type { RunAction } from '../../trainer/protocol/view/run.ts';
import { element, setText } from '../shared/element.ts';
import type { RunModel } from '../shared/run-model.ts';
import { type RunStatus, statusOf, whereText } from './run-status.ts';

interface ActionButton {
  readonly action: RunAction;
  readonly label: string;
  readonly title: string;
  /** Returns false to hide the action. */
  readonly isShown: (model: RunModel) => boolean;
  /** Returns why the action is unavailable now. */
  readonly obstacle?: (model: RunModel) => string | undefined;
}

const IN_TERMINAL = 'This run was started in a terminal. Press Ctrl+C there';
const IN_SWEEP = 'This run belongs to a sweep on Slurm. Stop the whole sweep in the Runs view, or in a terminal: rowtune runs --stop';
const hasTrained = ({ overview, summary }: RunModel): boolean =>
  overview !== undefined && (summary?.checkpoint != null || overview.step > 0);
/** True for a waiting run, which has no folder yet but whose job can be stopped. */
const waits = ({ missing, overview }: RunModel): boolean =>
  missing?.job?.state === 'queued' || missing?.job?.state === 'running' || overview?.cluster?.phase === 'waiting';
const notStoppable = ({ overview, missing }: RunModel): string | undefined => {
  const { job } = overview ?? missing ?? {};
  if (isOnCluster(overview?.cluster)) return overview?.sweepDir && `${IN_SWEEP} ${overview.sweepDir}`;
  if (!job || !['running', 'stopping', 'queued'].includes(job.state)) return IN_TERMINAL;
  return undefined;
};

const BUTTONS: readonly ActionButton[] = [
  {
    action: 'stop',
    label: 'Stop and Save',
    title: 'Ends after the current update and saves; you can resume the run later',
    isShown: model => model.isActive,
    obstacle: model => (model.overview?.job?.state === 'stopping' ? 'The run is stopping' : notStoppable(model)),
  },
  {
    action: 'abort',
    label: 'Abort',
    title: 'Ends at once; unsaved updates are lost',
    isShown: model => model.isActive || waits(model),
    obstacle: notStoppable,
  },
  {
    action: 'resume',
    label: 'Resume',
    title: 'Continues from the newest checkpoint',
    isShown: ({ overview }) => overview?.resumable === true,
  },
  {
    action: 'heatmap',
    label: 'Open Heatmap',
    title: 'Which rows matter, and which are trained',
    // There is no map if the run scores nothing, or if it ended before it chose its rows.
    isShown: model =>
      model.overview !== undefined &&
      model.recipe !== undefined &&
      choosesByScores(model.setting('method')) &&
      (model.isActive || model.coverage !== undefined),
  },
  {
    action: 'try',
    label: 'Try',
    title: 'Compares answers of the base and the tuned model',
    isShown: model => hasTrained(model) && canBeTried(model.setting('task')),
  },
  { action: 'export', label: 'Export', title: 'Exports rows, a merged model or a PEFT adapter', isShown: hasTrained },
  {
    action: 'jobLog',
    label: 'Open Job Log',
    title: 'Opens the log of the Slurm job',
    isShown: ({ overview }) => overview?.cluster?.log !== undefined,
  },
  {
    action: 'folder',
    label: 'Open Folder',
    title: 'Shows the files of the run',
    isShown: ({ overview }) => overview !== undefined && overview.state !== 'queued',
  },
];

export interface RunHeader {
  readonly element: HTMLElement;
  update(model: RunModel): void;
}

export function createHeader(act: (action: RunAction) => void): RunHeader {
  const name = element('h1', { class: 'run-name' });
  const about = element('span', { class: 'run-recipe', hidden: true });
  const state = element('span', { class: 'pill', hidden: true });
  const reason = element('p', { class: 'run-reason', hidden: true });
  const bar = element('progress', { class: 'run-progress', max: 1, value: 0, 'aria-label': 'Progress', hidden: true });
  const facts = element('p', { class: 'run-facts' });
  const place = element('p', { class: 'run-place', hidden: true });
  const question = createQuestion(() => act('abort'));
  const actions = createActions(action => (action === 'abort' ? question.ask(() => actions.focus('abort')) : act(action)));
  return {
    element: element(
      'header',
      { class: 'run-header' },
      element('div', { class: 'run-title' }, name, about, state, actions.element),
      question.element,
      reason,
      bar,
      facts,
      place,
    ),
    update: model => {
      const status = statusOf(model);
      setText(name, model.name);
      setText(about, aboutText(model));
      about.hidden = about.textContent === '';
      setText(state, status.state);
      state.className = `pill pill-${status.kind}`;
      state.hidden = false;
      reason.hidden = status.reason === undefined;
      reason.className = status.kind === 'bad' ? 'run-reason bad' : 'run-reason';
      setText(reason, status.reason ?? '');
      showProgress(bar, status);
      bar.hidden = model.overview === undefined && status.kind !== 'active';
      setText(facts, [...status.facts, ...trainedFor(model)].join(' · '));
      facts.hidden = facts.textContent === '';
      setText(place, whereText(model) ?? '');
      place.hidden = whereText(model) === undefined;
      actions.update(model);
      question.update(model);
    },
  };
}

/** Shows the progress; without a known total, an active run has an indeterminate bar. */
function showProgress(bar: HTMLProgressElement, { total, done, kind }: RunStatus): void {
  if (total > 0) {
    bar.max = total;
    bar.value = Math.min(done, total);
  } else if (kind === 'active') bar.removeAttribute('value');
  else bar.value = 0;
}

function createActions(press: (action: RunAction) => void) {
  const buttons = BUTTONS.map(button => {
    const { action, label, title } = button;
    const look = action === 'stop' || action === 'resume' ? 'primary' : 'secondary';
    // No actions are shown until the state of the run is known.
    const made = element('button', { type: 'button', class: look, title, hidden: true, onclick: () => press(action) }, label);
    return { ...button, made };
  });
  return {
    element: element(
      'div',
      { class: 'run-actions', role: 'toolbar', 'aria-label': 'Actions' },
      buttons.map(({ made }) => made),
    ),
    focus: (action: RunAction) => buttons.find(button => button.action === action)?.made.focus(),
    update: (model: RunModel): void => {
      for (const { made, title, isShown, obstacle } of buttons) {
        const reason = obstacle?.(model);
        made.hidden = !isShown(model);
        made.disabled = reason !== undefined;
        made.title = reason ?? title;
      }
    },
  };
}

/** Asks for confirmation, because unsaved updates can't be recovered. */
function createQuestion(confirm: () => void) {
  let lost = 0;
  let afterwards: () => void = () => undefined;
  const answer = (isYes: boolean) => () => {
    box.hidden = true;
    if (isYes) confirm();
    afterwards();
  };
  const words = element('span', {});
  const yes = element('button', { type: 'button', class: 'primary', onclick: answer(true) }, 'Abort without Saving');
  const no = element('button', { type: 'button', class: 'secondary', onclick: answer(false) }, 'Keep Training');
  const onkeydown = (event: KeyboardEvent) => event.key === 'Escape' && answer(false)();
  const box = element(
    'div',
    { class: 'run-question', role: 'alertdialog', 'aria-label': 'Abort', hidden: true, onkeydown },
    words,
    yes,
    no,
  );
  return {
    element: box,
    /** @param done called after the answer, to return the focus */
    ask: (done: () => void): void => {
      afterwards = done;
      setText(words, lost > 0 ? 'Updates since the last checkpoint are lost.' : 'The run ends now.');
      box.hidden = false;
      no.focus();
    },
    update: (model: RunModel): void => {
      lost = model.history.last('step') ?? 0;
      if (!model.isActive && !waits(model)) box.hidden = true;
    },
  };
}

/** "spam · LoRA · Text classification": the method, the task, and the recipe if its name differs from the run's. */
function aboutText(model: RunModel): string {
  const [method, task] = [model.setting('method'), model.setting('task')];
  return [model.recipeName, method && methodLabel(method, model.setting('trains')), task && labelIn('objective', task)]
    .filter(Boolean)
    .join(' · ');
}

/** Time spent in updates, without breaks between a stop and a resume. */
function trainedFor({ history }: RunModel): string[] {
  const seconds = history.last('train_seconds') ?? 0;
  return seconds > 0 ? [`${duration(seconds)} of training`] : [];
}
