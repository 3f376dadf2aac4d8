/** Arranges the modules of any model in a grid by their names: one row per block, one column per kind of module. */

export interface GridRow {
  /** The part of the names that the row represents: `model.layers.3`, or 'embedding', 'head', … */
  readonly key: string;
  readonly label: string;
  /** True for a block. Blocks share columns; cells of other rows have their own labels. */
  readonly isBlock: boolean;
}

export interface GridColumn {
  /** The rest of the name after the block: `self_attn.q_proj`. */
  readonly key: string;
  readonly label: string;
}

export interface Grid {
  readonly rows: readonly GridRow[];
  readonly columns: readonly GridColumn[];
  /** Index of the module in each cell, or −1. [rows × columns] */
  readonly cells: Int32Array;
  /** Row and column of each module. */
  readonly places: readonly { readonly row: number; readonly column: number }[];
  /** A short name of each module: `layer 3 · q`, `embedding · embed_tokens`. */
  readonly labels: readonly string[];
}

/** `stages.1.layers.0` is one block: a stage (or level, or ALBERT's group) contains a list of blocks. */
const INNER_LISTS = new Set(['layers', 'blocks', 'block', 'albert_layers']);
const isNumber = (part: string | undefined): boolean => part !== undefined && /^\d+$/.test(part);

interface Split {
  /** Undefined for modules outside the blocks. */
  readonly block?: string;
  readonly tail: string;
}

/** `model.layers.3.mlp.up_proj` → block `model.layers.3`, tail `mlp.up_proj`. */
export function splitName(name: string): Split {
  const parts = name.split('.');
  const first = parts.findIndex((part, i) => i > 0 && isNumber(part) && i < parts.length - 1);
  if (first < 0) return { tail: name };
  const isNested = INNER_LISTS.has(parts[first + 1] ?? '') && isNumber(parts[first + 2]) && first + 2 < parts.length - 1;
  const end = isNested ? first + 3 : first + 1;
  return { block: parts.slice(0, end).join('.'), tail: parts.slice(end).join('.') };
}

/** The rows of modules outside the blocks, in order: embeddings above the blocks, the others below. */
const OUTSIDE: readonly (readonly [row: string, pattern: RegExp])[] = [
  ['embedding', /embed|(^|\.)(wte|wpe|stem|conv1|bn1)(\.|$)/i],
  ['norm', /norm|(^|\.)ln_f(\.|$)/i],
  ['head', /head|classifier|pooler|score|(^|\.)fc(\.|$)|dense|out_proj/i],
];
const outsideRow = (name: string): string => OUTSIDE.find(([, pattern]) => pattern.test(name))?.[0] ?? name.split('.')[0] ?? name;

/** @param names distinct names of the modules, in the model's order */
export function deriveGrid(names: readonly string[]): Grid {
  const splits = names.map(splitName);
  const blocks = unique(splits.flatMap(({ block }) => block ?? []));
  const tails = unique(splits.flatMap(({ block, tail }) => (block === undefined ? [] : [tail])));
  const outside = unique(splits.flatMap(({ block, tail }) => (block === undefined ? [outsideRow(tail)] : [])));
  const rank = (row: string): number => OUTSIDE.findIndex(([name]) => name === row) + 1 || OUTSIDE.length + 1;
  const below = outside.filter(row => row !== 'embedding').sort((a, b) => rank(a) - rank(b));
  const blockLabels = labelBlocks(blocks);
  const rows: GridRow[] = [
    ...outside.filter(row => row === 'embedding').map(outsideGridRow),
    ...blocks.map((key, i) => ({ key, label: blockLabels[i] ?? key, isBlock: true })),
    ...below.map(outsideGridRow),
  ];
  const rowIndex = new Map(rows.map(({ key, isBlock }, i) => [`${isBlock} ${key}`, i]));
  const columnIndex = new Map(tails.map((tail, i) => [tail, i]));
  const used = new Map<number, number>();
  const places = splits.map(({ block, tail }) => {
    const row = rowIndex.get(block === undefined ? `false ${outsideRow(tail)}` : `true ${block}`) ?? 0;
    const column = block === undefined ? (used.get(row) ?? 0) : (columnIndex.get(tail) ?? 0);
    used.set(row, column + 1);
    return { row, column };
  });
  const width = Math.max(tails.length, ...places.map(({ column }) => column + 1), 0);
  const tailLabels = labelTails(tails);
  const columns = Array.from({ length: width }, (_, i) => ({ key: tails[i] ?? '', label: tailLabels[i] ?? '' }));
  const cells = new Int32Array(rows.length * width).fill(-1);
  places.forEach(({ row, column }, module) => {
    cells[row * width + column] = module;
  });
  const labels = splits.map(({ block, tail }, i) => {
    const { row = 0, column = 0 } = places[i] ?? {};
    const label = rows[row]?.label ?? '';
    return block === undefined
      ? `${label} · ${lastParts(tail)}`
      : `${/^\d/.test(label) ? `layer ${label}` : label} · ${tailLabels[column]}`;
  });
  return { rows, columns, cells, places, labels };
}

/** Neighboring columns that share a label. */
export interface ColumnRun {
  readonly first: number;
  readonly count: number;
  readonly label: string;
}

/** Groups columns whose labels differ only in a number: `gate 0` … `gate 127` becomes `gate 0–127`. */
export function columnRuns(columns: readonly GridColumn[]): ColumnRun[] {
  const parts = columns.map(({ label }) => /^(.*\D) (\d+)$/.exec(label));
  const runs: { first: number; count: number }[] = [];
  for (const [i, part] of parts.entries()) {
    const last = runs.at(-1);
    if (last && part && parts[last.first]?.[1] === part[1]) last.count++;
    else runs.push({ first: i, count: 1 });
  }
  return runs.map(({ first, count }) => {
    const own = columns[first]?.label ?? '';
    return { first, count, label: count > 1 ? `${own}–${parts[first + count - 1]?.[2]}` : own };
  });
}

const unique = (values: readonly string[]): string[] => [...new Set(values)];
const outsideGridRow = (key: string): GridRow => ({ key, label: key, isBlock: false });

/** The short name of a module outside the blocks: its last part, or the last two if one is not specific. */
export function lastParts(name: string): string {
  const parts = name.split('.');
  const last = parts.at(-1) ?? name;
  return parts.slice(EMPTY_WORDS.test(last) || last.toLowerCase() in KIND_WORDS ? -2 : -1).join('.');
}

/** The labels of blocks: their numbers, and the part that distinguishes lists of blocks: `3`, `1.0`, `encoder 3`, `layer1.0`. */
function labelBlocks(blocks: readonly string[]): string[] {
  const split = blocks.map(block => block.split('.'));
  const words = split.map(parts => parts.filter(part => !isNumber(part)));
  const lists = unique(words.map(parts => parts.join('.'))).map(list => list.split('.'));
  const numbers = split.map(parts => parts.filter(isNumber).join('.'));
  if (lists.length < 2) return numbers;
  const shortest = Math.min(...lists.map(list => list.length));
  const same = (part: (list: readonly string[]) => string | undefined): boolean => new Set(lists.map(part)).size === 1;
  let [head, tail] = [0, 0];
  while (head < shortest && same(list => list[head])) head++;
  while (tail < shortest - head && same(list => list.at(-1 - tail))) tail++;
  return words.map((parts, i) => {
    const rest = parts.slice(head, parts.length - tail).join('.');
    // A list inside another list: `layers.1.blocks.0` and `layers.1.downsample`.
    if (rest === '') return `${parts.at(-1)} ${numbers[i]}`;
    return `${rest}${/\d$/.test(rest) ? '.' : ' '}${numbers[i]}`;
  });
}

/** Words that are not specific on their own. */
const EMPTY_WORDS = /^(\d+|dense|linear|self|module|layer)$/i;
/** Words that name a kind of module but not a particular one. */
const KIND_WORDS: Readonly<Record<string, string>> = {
  conv: 'conv',
  convolution: 'conv',
  norm: 'norm',
  normalization: 'norm',
  layernorm: 'norm',
  batchnorm: 'norm',
};

/** The shortest suffix of each tail that distinguishes the columns. */
function labelTails(tails: readonly string[]): string[] {
  const words = tails.map(wordsOf);
  const take = words.map(list => Math.min(list.length, firstTake(list)));
  const label = (i: number): string => (words[i] ?? []).slice(-(take[i] ?? 1)).join(' ');
  for (let grown = true; grown; ) {
    grown = false;
    const count = new Map<string, number>();
    for (const i of tails.keys()) count.set(label(i), (count.get(label(i)) ?? 0) + 1);
    for (const [i, list] of words.entries())
      if ((count.get(label(i)) ?? 0) > 1 && (take[i] ?? 0) < list.length) {
        take[i] = (take[i] ?? 0) + 1;
        grown = true;
      }
  }
  const labels = tails.map((_, i) => label(i));
  return labels.map((text, i) => (labels.indexOf(text) === labels.lastIndexOf(text) ? text : (tails[i] ?? text)));
}

/** Splits a tail into words. A number belongs to the word before it, or to the word after it if the former is not specific. */
function wordsOf(tail: string): string[] {
  const words: string[] = [];
  let waiting = '';
  for (const part of tail.split('.')) {
    if (isNumber(part)) {
      if (words.length > 0 && waiting === '') words.push(`${words.pop()} ${part}`);
      else waiting = ` ${part}`;
    } else if (EMPTY_WORDS.test(part)) waiting = '';
    else {
      words.push(`${wordOf(part)}${waiting}`);
      waiting = '';
    }
  }
  return words.length > 0 ? words : [tail];
}

function wordOf(part: string): string {
  const kind = KIND_WORDS[part.toLowerCase()];
  if (kind !== undefined) return kind;
  const short = part
    .replace(/^c_/, '')
    .replace(/_proj$/, '')
    .replace(/_?layernorm$/i, ' norm')
    .replace(/^layernorm_?/i, 'norm ')
    .replace(/_/g, ' ')
    .trim();
  return short === '' ? part : short;
}

/** Number of words to start with: a word such as 'conv' needs the more specific word before it. */
const firstTake = (words: readonly string[]): number => (/^(conv|norm)$/.test(words.at(-1) ?? '') && words.length > 1 ? 2 : 1);
