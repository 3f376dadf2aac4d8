/** README.md of an export: the model card that the Hub shows, generated from facts about the run. */
import { artifactCatalog, type ExportFormat, type ExportType } from '../catalog/artifacts.ts';
import type { HubTask } from '../catalog/objectives.ts';
import { byteSize, duration, grouped, percent } from '../protocol/text/format.ts';

/** One number of an evaluation. */
export interface CardResult {
  readonly name: string;
  readonly before: number | undefined;
  readonly after: number;
  /** The number of samples that a share refers to, which determines its uncertainty. */
  readonly counted?: number;
}

export interface CardFacts {
  readonly name: string;
  /** The base as the recipe names it. */
  readonly base: string;
  /** The base's own license, if its folder names one. */
  readonly license?: string | undefined;
  readonly method: string;
  readonly task: string;
  readonly hubTask: HubTask;
  /** The whole recipe as YAML; missing for an adapter that no run here has made. */
  readonly recipe?: string;
  /** The data files: name, bytes, sha256. */
  readonly data: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
  readonly results: readonly CardResult[];
  readonly samples?: number;
  readonly trainable?: number;
  readonly trainableShare?: number;
  readonly steps?: number;
  readonly seconds?: number;
  readonly peakBytes?: number;
  readonly engine?: string;
  readonly createdBy: string;
}

export interface CardExport {
  readonly format: ExportFormat;
  readonly type: ExportType | undefined;
  /** The library that loads the export, if it is not the one of the format and the task. */
  readonly library?: string | undefined;
  readonly commands?: Readonly<Record<string, string>> | undefined;
  /** How the export was verified, as sentences. */
  readonly verified: readonly string[];
}

/** True for names on the Hub, which have one slash; a public card must not contain paths. */
const isHubName = (name: string): boolean => /^[\w.-]+\/[\w.-]+$/.test(name);
const shown = (base: string): string => (isHubName(base) ? base : (base.split(/[\\/]/).at(-1) ?? base));

export function modelCard(facts: CardFacts, made: CardExport): string {
  const { label } = artifactCatalog[made.format];
  const type = made.type && made.type !== 'base' && made.type !== 'auto' ? ` (${made.type})` : '';
  return [
    metadata(facts, made),
    `# ${facts.name}`,
    `${shown(facts.base)}, tuned with Rowtune: ${facts.method}, ${facts.task}. Exported as: ${label}${type}.`,
    ...results(facts),
    ...use(made),
    ...training(facts),
    ...data(facts),
    ...reproduce(facts),
    `## Verification\n\n${made.verified.map(line => `- ${line}`).join('\n')}`,
    `Written by ${facts.createdBy}.`,
  ]
    .join('\n\n')
    .concat('\n');
}

/** The YAML block that the Hub reads. */
function metadata({ base, license, hubTask: { pipeline, own } }: CardFacts, { format, library }: CardExport): string {
  const { hub } = artifactCatalog[format];
  const ofTask = library === undefined ? (hub?.prefersTaskLibrary ? own : undefined) : { library, tags: [library] };
  return [
    '---',
    ...(isHubName(base) ? [`base_model: ${base}`, ...(hub ? [`base_model_relation: ${hub.relation}`] : [])] : []),
    ...(license === undefined ? [] : [`license: ${license}`]),
    ...(hub ? [`library_name: ${ofTask?.library ?? hub.library}`] : []),
    `pipeline_tag: ${pipeline}`,
    'tags:',
    ...[...(ofTask?.tags ?? []), 'rowtune'].map(tag => `- ${tag}`),
    '---',
  ].join('\n');
}

function results({ results: found, samples }: CardFacts): string[] {
  if (found.length === 0) return ['## Results\n\nNo held-out data was evaluated.'];
  const rows = found.map(({ name, before, after, counted }) => `| ${name} | ${value(before, counted)} | ${value(after, counted)} |`);
  const note = found.some(({ counted }) => counted !== undefined) ? '\n\nBrackets hold the 95% interval (Wilson) of a share.' : '';
  return [
    `## Results\n\nOn held-out data${samples === undefined ? '' : ` (${grouped(samples)} samples)`}:\n\n| | before | after |\n| --- | --- | --- |\n${rows.join('\n')}${note}`,
  ];
}

function value(x: number | undefined, counted: number | undefined): string {
  if (x === undefined) return '–';
  if (counted === undefined) return x.toPrecision(4);
  const [low, high] = wilson(x, counted);
  return `${percent(x)} [${percent(low)}, ${percent(high)}]`;
}

/** The 95% interval of a share of n independent samples (Wilson, 1927). */
export function wilson(share: number, n: number): readonly [low: number, high: number] {
  const z = 1.959964;
  const center = (share + z ** 2 / (2 * n)) / (1 + z ** 2 / n);
  const half = (z / (1 + z ** 2 / n)) * Math.sqrt((share * (1 - share)) / n + z ** 2 / (4 * n ** 2));
  return [Math.max(0, center - half), Math.min(1, center + half)];
}

function use({ commands }: CardExport): string[] {
  if (commands === undefined) return [];
  const lines = Object.entries(commands).map(([program, line]) => `- ${program}: \`${line}\``);
  return [`## Use\n\nIn this folder:\n\n${lines.join('\n')}`];
}

function training({ trainable, trainableShare, steps, seconds, peakBytes, engine }: CardFacts): string[] {
  const lines = [
    ...(trainable === undefined
      ? []
      : [`Trained numbers: ${grouped(trainable)}${trainableShare === undefined ? '' : ` (${percent(trainableShare)} of the model)`}`]),
    ...(steps === undefined ? [] : [`Updates: ${grouped(steps)}`]),
    ...(seconds === undefined ? [] : [`Time of the updates: ${duration(seconds)}`]),
    ...(peakBytes === undefined ? [] : [`Peak memory of the process: ${byteSize(peakBytes)}`]),
    ...(engine === undefined ? [] : [`Engine: ${engine}`]),
  ];
  return lines.length === 0 ? [] : [`## Training\n\n${lines.map(line => `- ${line}`).join('\n')}`];
}

function data({ data: files }: CardFacts): string[] {
  if (files.length === 0) return [];
  const rows = files.map(({ name, bytes, sha256 }) => `| ${name} | ${byteSize(bytes)} | \`${sha256}\` |`);
  return [`## Data\n\n| file | size | sha256 |\n| --- | --- | --- |\n${rows.join('\n')}`];
}

const reproduce = ({ recipe }: CardFacts): string[] =>
  recipe === undefined
    ? []
    : [
        `## Reproduce\n\nSave this recipe as \`recipe.yaml\`, correct its paths, and run \`rowtune train recipe.yaml\`.\n\n\`\`\`yaml\n${recipe.trim()}\n\`\`\``,
      ];
