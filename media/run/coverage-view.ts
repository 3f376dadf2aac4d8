/** Trained modules by block: the number of trained rows, and their share of the model. */
import { methodLabel } from '../../trainer/catalog/labels.ts';
import { counted, grouped, percent } from '../../trainer/protocol/text/format.ts';
import { element, fill } from '../shared/element.ts';
import { type CoverageKind, coverageGrid, shareOf, trainedPart } from './coverage-grid.ts';
import type { View } from './view.ts';

export function createCoverageView(): View {
  const root = element('div', { class: 'coverage' });
  let shown: unknown;
  return {
    element: root,
    update: ({ coverage }) => {
      if (coverage && coverage === shown) return;
      shown = coverage;
      if (!coverage) return fill(root, element('p', { class: 'hint' }, 'Coverage appears once it is decided what the run trains.'));
      const { method, trainable, parameters, share, modules } = coverage;
      const grid = coverageGrid(coverage);
      fill(
        root,
        element(
          'p',
          {},
          element('strong', {}, methodLabel(method, trainedPart(coverage))),
          ` trains ${grouped(trainable)} of ${grouped(parameters)} parameters (${percent(share, 2)}) in ${counted(modules.length, 'module')}.`,
        ),
        kindTable(grid.kinds, parameters),
        gridTable(grid.kinds, grid.blocks),
      );
    },
  };
}

function kindTable(kinds: readonly CoverageKind[], parameters: number): HTMLElement {
  const units = [...new Set(kinds.map(({ unit }) => unit))].join(' or ');
  const heads = ['Module', 'Count', `Trained ${units}`, `Total ${units}`, `Share of ${units}`, 'Trained parameters', 'Share of the model'];
  return element(
    'table',
    { class: 'data' },
    element('caption', { class: 'visually-hidden' }, 'Trained modules by kind'),
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        heads.map((text, i) => element('th', { scope: 'col', class: i > 0 ? 'number' : '' }, text)),
      ),
    ),
    element(
      'tbody',
      {},
      kinds.map(kind => {
        const rowsTrained = kind.trainedRows > 0;
        const cells = [
          grouped(kind.count),
          rowsTrained ? grouped(kind.trainedRows) : '–',
          grouped(kind.rows),
          rowsTrained ? percent(kind.trainedRows / kind.rows, 2) : '–',
          grouped(kind.trainable),
          percent(kind.trainable / parameters, 3),
        ];
        return element(
          'tr',
          {},
          element('th', { scope: 'row' }, element('code', {}, kind.kind)),
          cells.map(text => element('td', { class: 'number' }, text)),
        );
      }),
    ),
  );
}

/** Returns undefined for a single row or column, which would repeat the table above. */
function gridTable(kinds: readonly CoverageKind[], blocks: readonly string[]): HTMLElement | undefined {
  if (blocks.length < 2) return undefined;
  const most = Math.max(...kinds.flatMap(({ modules }) => modules.map(module => (module ? shareOf(module) : 0))));
  const table = element(
    'table',
    { class: 'coverage-grid' },
    element('caption', {}, 'Trained share of each module, by block'),
    element(
      'thead',
      {},
      element(
        'tr',
        {},
        element('td', {}),
        blocks.map(block => element('th', { scope: 'col' }, block || '–')),
      ),
    ),
    element(
      'tbody',
      {},
      kinds.map(({ kind, modules }) =>
        element(
          'tr',
          {},
          element('th', { scope: 'row' }, element('code', {}, kind)),
          modules.map(module => {
            if (!module) return element('td', {}, element('span', { class: 'visually-hidden' }, 'not trained'));
            const rows =
              module.trainedRows > 0
                ? `${grouped(module.trainedRows)} of ${grouped(module.rows)} ${module.unit ?? 'rows'}`
                : `${grouped(module.trainable)} added parameters`;
            const cell = element(
              'td',
              { class: 'covered', title: `${module.module}: ${rows}` },
              element('span', { class: 'visually-hidden' }, rows),
            );
            cell.style.setProperty('--share', `${Math.round(100 * (0.15 + (0.85 * shareOf(module)) / most))}%`);
            return cell;
          }),
        ),
      ),
    ),
  );
  return element('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Coverage by block' }, table);
}
