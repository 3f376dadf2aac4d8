/** The toolbar: source, comparison, colors and budget. */
import { labelIn } from '../../trainer/catalog/labels.ts';
import { compact } from '../../trainer/protocol/format.ts';
import type { HeatmapSource, HeatmapSourceInfo, ScoreSetInfo, ScoreSetRef } from '../../trainer/protocol/view/heatmap.ts';
import { type ColorMapName, colorMapNames } from '../shared/color-maps.ts';
import { element, setText } from '../shared/element.ts';
import type { ScaleName } from '../shared/scale.ts';
import { overlapText, selectionText } from './cell/cell-facts.ts';
import { createButton, createSelect, createSlider, createSwitch, type Option } from './control-parts.ts';
import type { Statistic, View } from './grid/cell-values.ts';
import { colorMapOf, type Picture } from './picture.ts';
import { type BudgetChoice, type HeatmapViewState, setOf } from './view-state.ts';

export interface ControlsParams {
  /** The current choice; the picture may be one frame behind. */
  chosen(): HeatmapViewState;
  onChange(change: Partial<HeatmapViewState>): void;
  onAddSource(source: HeatmapSource): void;
  onRemoveSource(path: string): void;
  /** Opens the page of the run whose scores are shown. */
  onOpenRun(): void;
  onZoom(factor: number | 'fit'): void;
  onExport(format: 'png' | 'svg' | 'csv'): void;
}

export interface Controls {
  readonly element: HTMLElement;
  /** Option of the list of scores. */
  focus(): void;
  update(picture: Picture, sources: readonly HeatmapSourceInfo[], candidates: readonly HeatmapSource[], colorSetting: string): void;
}

const NONE = '';
const STATISTICS: readonly Option[] = [
  { value: 'mean', label: 'mean' },
  { value: 'max', label: 'max' },
  { value: 'selected', label: 'selected share' },
];
const SCALES: readonly Option[] = ['linear', 'log', 'rank'].map(value => ({ value, label: value }));
const MAPS: readonly Option[] = colorMapNames.map(value => ({ value, label: value }));
const ZOOM = 1.5;

/** Sets of one measure, over all classes or by class, are one entry of a list. */
const measuresOf = (source: HeatmapSourceInfo): string[] => [...new Set(source.sets.map(({ measure }) => measure))];
const classesOf = (source: HeatmapSourceInfo | undefined, measure: string | undefined): ScoreSetInfo[] =>
  source?.sets.filter(set => set.measure === measure) ?? [];

const entry = (path: string, measure: string): string => JSON.stringify([path, measure]);
/** The first set of an entry: the one over all classes if it exists. */
function refOf(value: string, sources: readonly HeatmapSourceInfo[]): ScoreSetRef | undefined {
  const [path, measure] = JSON.parse(value) as [string, string];
  const sets = classesOf(
    sources.find(source => source.path === path),
    measure,
  );
  return { path, key: (sets.find(({ className }) => className === undefined) ?? sets[0])?.key ?? '' };
}

export function createControls({ chosen, onChange, onAddSource, onRemoveSource, onOpenRun, onZoom, onExport }: ControlsParams): Controls {
  let sources: readonly HeatmapSourceInfo[] = [];
  let candidates: readonly HeatmapSource[] = [];
  let budget: BudgetChoice | undefined;
  /** Rows of the smallest module. */
  let fewest = 1;
  let hasTrained = false;
  const ofChosen = (side: 'a' | 'b', key: string): void => {
    const ref = chosen()[side];
    if (ref) onChange({ [side]: { ...ref, key } });
  };
  const shown = createSelect('Scores', value => onChange({ a: refOf(value, sources), budget: undefined }));
  const shownClass = createSelect('Class', key => ofChosen('a', key));
  const other = createSelect('Compare with', value => {
    if (value === NONE) return onChange({ b: undefined });
    const candidate = candidates.find(({ path }) => path === value);
    if (candidate) return onAddSource(candidate);
    const { b, view: before } = chosen();
    onChange({ b: refOf(value, sources), view: b ? before : 'difference' });
  });
  const otherClass = createSelect('Class of B', key => ofChosen('b', key));
  const view = createSwitch('View', value => onChange({ view: value as View }));
  const statistic = createSelect('Color by', value => onChange({ statistic: value as Statistic }));
  const scale = createSelect('Scale', value => onChange({ scale: value as ScaleName }));
  const map = createSelect('Colors', value => onChange({ colorMap: value as ColorMapName }));
  const kind = createSwitch('Budget', value => changeBudget({ kind: value as BudgetChoice['kind'] }));
  const slider = createSlider('Budget', value => changeBudget(budget?.kind === 'ratio' ? { ratio: value } : { r: value }));
  const mode = createSwitch('Ranking', value => changeBudget({ mode: value as BudgetChoice['mode'] }));
  const selected = element('span', { class: 'selection' });
  const overlap = element('span', { class: 'selection' });
  const problem = element('div', { class: 'problem', role: 'alert', hidden: true });
  const zoom = element(
    'span',
    { class: 'buttons', role: 'group', 'aria-label': 'Zoom' },
    createButton('−', 'Zoom out', () => onZoom(1 / ZOOM)),
    createButton('+', 'Zoom in', () => onZoom(ZOOM)),
    createButton('Fit', 'Show all layers', () => onZoom('fit')),
  );
  const table = createButton('Table', 'Show the values as a table', () => onChange({ isTable: !chosen().isTable }));
  const run = createButton('Open run', 'Show the curves of this run', onOpenRun);
  const removers = [0, 1].map(() => {
    const button = createButton('×', '', () => onRemoveSource(button.value));
    return button;
  });
  const root = element(
    'div',
    { class: 'toolbar', role: 'toolbar', 'aria-label': 'Heatmap' },
    element(
      'div',
      { class: 'line' },
      shown.element,
      shownClass.element,
      removers[0],
      run,
      other.element,
      otherClass.element,
      removers[1],
      view.element,
    ),
    element(
      'div',
      { class: 'line' },
      statistic.element,
      scale.element,
      map.element,
      element('span', { class: 'spring' }),
      zoom,
      element('span', { class: 'buttons' }, table),
      element(
        'span',
        { class: 'buttons', role: 'group', 'aria-label': 'Export' },
        ...(['png', 'svg', 'csv'] as const).map(format =>
          createButton(format.toUpperCase(), `Export as ${format.toUpperCase()}`, () => onExport(format)),
        ),
      ),
    ),
    element(
      'div',
      { class: 'line' },
      element('span', { class: 'control' }, 'Budget'),
      kind.element,
      slider.element,
      mode.element,
      selected,
      overlap,
    ),
    problem,
  );

  return {
    element: root,
    focus: () => shown.element.querySelector('select')?.focus(),
    update(picture, nextSources, nextCandidates, colorSetting) {
      const { state } = picture;
      [sources, candidates, budget] = [nextSources, nextCandidates, picture.budget];
      fewest = Math.max(1, Math.min(...picture.modules.map(({ shape }) => shape[0] ?? 1)));
      hasTrained = picture.hasTrained;
      const [setA, setB] = [setOf(sources, state.a), setOf(sources, state.b)];
      const entries = sources.flatMap(entriesOf);
      shown.update(entries, state.a ? entry(state.a.path, setA?.measure ?? '') : NONE, true);
      updateClasses(shownClass, picture.sourceA, setA, state.a);
      const beside = candidates.map(({ path, label }) => ({ value: path, label, group: 'Open in a second column' }));
      const comparable = entries.map(each => ({ ...each, group: each.group ?? 'Open' }));
      other.update(
        [{ value: NONE, label: 'nothing' }, ...comparable, ...beside],
        state.b ? entry(state.b.path, setB?.measure ?? '') : NONE,
        true,
      );
      updateClasses(otherClass, picture.sourceB, setB, state.b);
      updateRemovers(picture);
      run.hidden = picture.sourceA?.kind !== 'run';
      view.element.hidden = !state.b;
      view.update(
        [
          { value: 'importance', label: 'A' },
          { value: 'difference', label: 'A − B' },
          { value: 'overlap', label: 'overlap' },
        ],
        state.view,
      );
      const isOverlap = state.view === 'overlap';
      statistic.update(STATISTICS, state.statistic, !isOverlap);
      scale.update(SCALES, state.scale, !isOverlap);
      map.update(MAPS, colorMapOf(state, colorSetting), state.view !== 'difference');
      showBudget(picture.budget);
      setText(selected, selectionText(picture));
      setText(overlap, overlapText(picture) ?? '');
      overlap.hidden = !state.b;
      const ofSources = [picture.sourceA, picture.sourceB].flatMap(source =>
        source?.problem ? [`${source.label}: ${source.problem}`] : [],
      );
      const problems = [...new Set(ofSources), ...(picture.problem ? [picture.problem] : [])];
      problem.hidden = problems.length === 0;
      setText(problem, problems.join(' · '));
      table.setAttribute('aria-pressed', String(state.isTable));
      zoom.hidden = state.isTable;
    },
  };

  /** The last source can't be removed. One button removes all measures of a source. */
  function updateRemovers({ sourceA, sourceB }: Picture): void {
    const removable = sources.length < 2 ? [] : [sourceA, sourceB?.path === sourceA?.path ? undefined : sourceB];
    for (const [i, button] of removers.entries()) {
      const source = removable[i];
      button.hidden = source === undefined;
      button.value = source?.path ?? '';
      button.title = `Remove ${source?.label ?? ''} from the heatmap`;
      button.setAttribute('aria-label', button.title);
    }
  }

  function entriesOf(source: HeatmapSourceInfo): Option[] {
    const measures = measuresOf(source);
    if (measures.length === 0) return [{ value: entry(source.path, ''), label: source.label }];
    return measures.map(measure => ({
      value: entry(source.path, measure),
      label: `${source.label} · ${labelIn('measure', measure)}`,
      group: measures.length > 1 ? source.label : undefined,
    }));
  }

  function updateClasses(
    select: typeof shownClass,
    source: HeatmapSourceInfo | undefined,
    set: ScoreSetInfo | undefined,
    ref: ScoreSetRef | undefined,
  ): void {
    const classes = classesOf(source, set?.measure);
    const options = classes.map(({ key, className }) => ({ value: key, label: className ?? 'all' }));
    select.update(options, ref?.key ?? '', ref !== undefined && classes.length > 1);
  }

  /** Applied at once: the next input is read in the unit that the field shows. */
  function changeBudget(change: Partial<BudgetChoice>): void {
    if (!budget) return;
    budget = { ...budget, ...change };
    showBudget(budget);
    onChange({ budget });
  }

  function showBudget(now: BudgetChoice): void {
    kind.update(
      [
        { value: 'r', label: 'rows' },
        { value: 'ratio', label: 'share' },
        { value: 'trained', label: 'as trained', isDisabled: !hasTrained },
      ],
      now.kind,
    );
    const isRatio = now.kind === 'ratio';
    slider.element.hidden = mode.element.hidden = now.kind === 'trained';
    mode.update(
      [
        { value: 'per_layer', label: 'per layer' },
        { value: 'global', label: 'across layers' },
      ],
      now.mode,
    );
    slider.update(
      isRatio ? now.ratio : now.r,
      isRatio ? { least: 0.001, most: 1, isWhole: false } : { least: 1, most: Number.isFinite(fewest) ? fewest : 1, isWhole: true },
      isRatio ? `${compact(Number((100 * now.ratio).toPrecision(3)))}%` : `${now.r}`,
      now.kind === 'trained',
    );
  }
}
