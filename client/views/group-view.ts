/** A tree view of groups with items, filled by one function; what it could not get, it says where the items would be. */
import { EventEmitter, type TreeDataProvider, TreeItem, TreeItemCollapsibleState, type TreeView, window } from 'vscode';

export interface ViewGroup<Item> {
  readonly name: string;
  readonly items: readonly Item[];
}

export interface GroupViewParams<Item> {
  readonly id: string;
  /** Groups under headings, or one without a name, whose items stand by themselves. */
  readonly load: () => Promise<readonly ViewGroup<Item>[]>;
  readonly draw: (item: Item) => TreeItem;
  readonly canSelectMany?: boolean;
}

export interface GroupView<Item> {
  readonly view: TreeView<ViewGroup<Item> | Item>;
  /** Draws it anew; requests that come together are one. */
  refresh(): void;
  dispose(): void;
}

/** Refreshes nearer than this are one. */
const COALESCE_MS = 50;

export function createGroupView<Item extends { readonly id: string }>({
  id,
  load,
  draw,
  canSelectMany,
}: GroupViewParams<Item>): GroupView<Item> {
  type Node = ViewGroup<Item> | Item;
  const changed = new EventEmitter<undefined>();
  const isGroup = (node: Node): node is ViewGroup<Item> => 'items' in node;
  const closed = new Set<string>();
  const provider: TreeDataProvider<Node> = {
    onDidChangeTreeData: changed.event,
    async getChildren(node) {
      if (node !== undefined) return isGroup(node) ? [...node.items] : [];
      const groups = await load();
      const [only] = groups;
      return only?.name === '' ? [...only.items] : [...groups];
    },
    getTreeItem(node) {
      if (!isGroup(node)) return draw(node);
      const state = closed.has(node.name) ? TreeItemCollapsibleState.Collapsed : TreeItemCollapsibleState.Expanded;
      const item = new TreeItem(node.name, state);
      item.id = `group:${node.name}`;
      item.description = String(node.items.length);
      item.contextValue = 'group';
      return item;
    },
  };
  const view = window.createTreeView(id, { treeDataProvider: provider, canSelectMany, showCollapseAll: false });
  view.onDidCollapseElement(({ element }) => isGroup(element) && closed.add(element.name));
  view.onDidExpandElement(({ element }) => isGroup(element) && closed.delete(element.name));
  let timer: NodeJS.Timeout | undefined;
  return {
    view,
    refresh() {
      if (!view.visible) return;
      timer ??= setTimeout(() => {
        timer = undefined;
        changed.fire(undefined);
      }, COALESCE_MS);
    },
    dispose() {
      clearTimeout(timer);
      view.dispose();
      changed.dispose();
    },
  };
}
