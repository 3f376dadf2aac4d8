/** A tree view of groups with items. It loads when it becomes visible; later changes redraw single items, so that nothing flickers. */
import { EventEmitter, type TreeDataProvider, TreeItem, TreeItemCollapsibleState, type TreeView, window } from 'vscode';
import type { ErrorReport } from '../ask/error-report.ts';
import { type RemedyItem, remedyItems } from '../ask/remedies.ts';
import { drawRemedy } from './tree-items.ts';
import { changesOf, type ViewGroup } from './view-changes.ts';

export interface GroupViewParams<Item> {
  readonly id: string;
  /**
   * Loads groups with headings, or one group without a name, whose items are at the top level. If this fails, the view shows the error and
   * the steps that fix it instead.
   */
  readonly load: () => Promise<readonly ViewGroup<Item>[]>;
  readonly draw: (item: Item) => TreeItem;
  /** A message above the items, if there is one. */
  readonly note?: () => string | undefined;
  /** Returns the sentence and the steps that are shown instead of the items. */
  readonly reportOf: (error: unknown) => ErrorReport;
  readonly canSelectMany?: boolean;
}

/** Shown until the first items are there: the welcome text of an empty view would say that there are none. */
const LOADING = 'Loading…';

type Node<Item> = ViewGroup<Item> | Item | RemedyItem;

export interface GroupView<Item> {
  readonly view: TreeView<Node<Item>>;
  /** Reloads the view now if it is visible, or else when it becomes visible. */
  reload(): Promise<void>;
  /** Replaces the loaded items. */
  show(groups: readonly ViewGroup<Item>[]): void;
  dispose(): void;
}

export function createGroupView<Item extends { readonly id: string }>(params: GroupViewParams<Item>): GroupView<Item> {
  const { id, draw, canSelectMany } = params;
  const changed = new EventEmitter<Node<Item>[] | undefined>();
  const isGroup = (node: Node<Item>): node is ViewGroup<Item> => 'items' in node;
  const closed = new Set<string>();
  let groups: readonly ViewGroup<Item>[] | undefined;
  let steps: readonly RemedyItem[] = [];
  /** The message of the loaded items. */
  let message: string | undefined;

  /** Loads the groups; errors do not interrupt the user, who did not request this view. */
  async function load(): Promise<readonly ViewGroup<Item>[]> {
    if (groups === undefined) view.message = LOADING;
    try {
      const loaded = await params.load();
      message = params.note?.();
      steps = [];
      return loaded;
    } catch (error) {
      const report = params.reportOf(error);
      message = report.message;
      // With a message, the editor does not show the welcome text and its buttons.
      steps = remedyItems(report.remedies);
      return [];
    }
  }

  const showMessage = (): void => {
    view.message = message;
  };

  const provider: TreeDataProvider<Node<Item>> = {
    onDidChangeTreeData: changed.event,
    async getChildren(node) {
      if (node !== undefined) return isGroup(node) ? [...node.items] : [];
      groups ??= await load();
      // After the items, because an empty view without a message shows its welcome text.
      setTimeout(showMessage);
      if (steps.length > 0) return [...steps];
      const [only] = groups;
      return only?.name === '' ? [...only.items] : [...groups];
    },
    getTreeItem(node) {
      if ('remedy' in node) return drawRemedy(node);
      if (!isGroup(node)) return draw(node);
      const state = closed.has(node.name) ? TreeItemCollapsibleState.Collapsed : TreeItemCollapsibleState.Expanded;
      const item = new TreeItem(node.name, state);
      item.id = `group:${node.name}`;
      item.description = String(node.items.length);
      item.contextValue = ['group', ...(node.sweepDir === undefined ? [] : ['sweep']), ...(node.isOnCluster ? ['stoppable'] : [])].join(
        ' ',
      );
      return item;
    },
  };
  const view = window.createTreeView(id, { treeDataProvider: provider, canSelectMany });
  view.message = LOADING;
  view.onDidCollapseElement(({ element }) => isGroup(element) && closed.add(element.name));
  view.onDidExpandElement(({ element }) => isGroup(element) && closed.delete(element.name));

  function show(next: readonly ViewGroup<Item>[]): void {
    message = params.note?.();
    steps = [];
    put(next);
  }

  function put(next: readonly ViewGroup<Item>[]): void {
    const changes = groups === undefined || groups.length === 0 ? undefined : changesOf(groups, next);
    if (changes === undefined) {
      groups = next;
      changed.fire(undefined);
      return;
    }
    showMessage();
    // The editor identifies a node by its object, so update the object in place.
    for (const { shown, now } of changes) Object.assign(shown, now);
    if (changes.length > 0) changed.fire(changes.map(({ shown }) => shown));
  }

  return {
    view,
    show,
    async reload() {
      if (view.visible) return put(await load());
      groups = undefined;
      changed.fire(undefined);
    },
    dispose() {
      view.dispose();
      changed.dispose();
    },
  };
}
