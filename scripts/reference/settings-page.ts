/** docs/reference/settings.md: every setting of a recipe, from the schema and the table of other tools' names. */
import { required } from '../../trainer/narrow.ts';
import { type ForeignKey, foreignKeys, foreignValues } from '../../trainer/protocol/recipe/foreign-keys.ts';
import { groups, settings } from '../../trainer/protocol/recipe/recipe-schema.ts';
import type { Fields, Setting } from '../../trainer/protocol/recipe/setting.ts';
import { batchSettings, dataGroup, sampleSettings } from '../../trainer/protocol/recipe/settings/data-settings.ts';
import { distillationGroup } from '../../trainer/protocol/recipe/settings/distillation-settings.ts';
import { embeddingGroup } from '../../trainer/protocol/recipe/settings/embedding-settings.ts';
import { generationGroup } from '../../trainer/protocol/recipe/settings/generation-settings.ts';
import { importanceSettings, methodSettings, modelSettings } from '../../trainer/protocol/recipe/settings/model-settings.ts';
import { preferenceGroup } from '../../trainer/protocol/recipe/settings/preference-settings.ts';
import { runSettings } from '../../trainer/protocol/recipe/settings/run-settings.ts';
import { optimizerSettings, scheduleSettings } from '../../trainer/protocol/recipe/settings/training-settings.ts';
import { code, codes, list, page, paragraph, sentence } from './markdown.ts';

interface Section {
  readonly title: string;
  readonly fields: Fields;
  readonly prefix?: string;
}

const sections: readonly Section[] = [
  { title: 'Model', fields: modelSettings },
  { title: 'Method', fields: methodSettings },
  { title: 'Data', fields: dataGroup.fields, prefix: 'data.' },
  { title: 'Samples', fields: sampleSettings },
  { title: 'Batches', fields: batchSettings },
  { title: 'Length and schedule', fields: scheduleSettings },
  { title: 'Optimizer and memory', fields: optimizerSettings },
  { title: 'Preferences', fields: preferenceGroup.fields, prefix: 'preference.' },
  { title: 'Embeddings', fields: embeddingGroup.fields, prefix: 'embedding.' },
  { title: 'Distillation', fields: distillationGroup.fields, prefix: 'distillation.' },
  { title: 'Importance', fields: importanceSettings, prefix: 'importance.' },
  { title: 'Logging, evaluation and checkpoints', fields: runSettings },
  { title: 'Answers in evaluations', fields: generationGroup.fields, prefix: 'eval_generation.' },
  { title: 'Sweep', fields: groups.sweep?.fields ?? {}, prefix: 'sweep.' },
];

/** @throws Error if a setting of the recipe is in no section */
export function settingsPage(): string {
  const shown = sections.flatMap(({ fields, prefix = '' }) => Object.keys(fields).map(name => prefix + name));
  const missing = Object.keys(settings).filter(path => !shown.includes(path));
  if (missing.length > 0) throw new Error(`no section of scripts/reference/settings-page.ts has ${missing.join(', ')}`);
  return page('Recipe settings', 'trainer/protocol/recipe', [
    paragraph(
      'A recipe is one page of YAML or JSON. `model` and `data.train` are enough to train. A setting with a dot in its name stands in a group: `data.train` is the key `train` under `data`. On the command line, write the name with the dot: `rowtune train mine.rowtune.yaml data.train=mails.jsonl`.',
    ),
    paragraph(
      'The names of other tools are not accepted as they are; the linter offers the rename as a fix. See [Convert a recipe of another tool](../how-to/convert-a-recipe.md).',
    ),
    list(sections.map(({ title }) => `[${title}](#${title.toLowerCase().replaceAll(',', '').replaceAll(' ', '-')})`)),
    ...sections.flatMap(sectionText),
    '## Names in other tools that have no setting here',
    list(
      Object.entries(foreignKeys)
        .filter(([, { to }]) => to === undefined)
        .map(([name, { note = '' }]) => `${code(name)}: ${sentence(note)}`),
    ),
  ]);
}

const sectionText = ({ title, fields, prefix = '' }: Section): string[] => [
  `## ${title}`,
  ...Object.keys(fields).map(name => settingText(prefix + name, required(settings[prefix + name], prefix + name))),
];

function settingText(path: string, { doc, type, presence, defaultText, memory, nullHint }: Setting): string {
  const fallback = defaultText ?? (presence === 'required' ? 'none; every recipe needs it' : 'none');
  const facts = [
    `Type: ${type.choices === undefined ? type.name : typeWithChoices(type.name)}`,
    `Default: ${isValue(fallback) ? code(fallback) : fallback}`,
    ...(memory === undefined ? [] : [`Memory: ${memory}`]),
    ...(nullHint === undefined ? [] : [`${code('null')} is refused: ${nullHint}.`]),
    ...otherNames(path),
  ];
  const choices = Object.entries(type.choices ?? {}).map(([word, text]) => `${code(word)}: ${text}${alsoCalled(path, word)}`);
  return [`### ${path}`, paragraph(doc), list(facts), ...(choices.length === 0 ? [] : ['Values:', list(choices)])].join('\n\n');
}

/** True for JSON, false for a phrase that says where the default comes from. */
const isValue = (text: string): boolean => /^([[{"].*|-?[\d.e-]+|true|false)$/s.test(text);

/** Shortens a type whose choices follow in their own list. */
const typeWithChoices = (name: string): string => (name.startsWith("one of '") || name.startsWith("'") ? 'one of the values below' : name);

function otherNames(path: string): string[] {
  const found = Object.entries(foreignKeys).filter(([, { to }]) => to === path);
  const same = found.filter(([, { note }]) => note === undefined).map(([name]) => name);
  const notes = new Map<string, string[]>();
  for (const [name, { note }] of found) if (note !== undefined) notes.set(note, [...(notes.get(note) ?? []), name]);
  return [
    ...(same.length === 0 ? [] : [`In other tools: ${codes(same)}`]),
    ...[...notes].map(([note, names]) => `In other tools, with a difference: ${codes(names)} (${note})`),
  ];
}

function alsoCalled(path: string, word: string): string {
  const words = Object.entries<ForeignKey>(foreignValues[path] ?? {}).filter(([, { to }]) => to === word);
  return words.length === 0 ? '' : ` In other tools: ${codes(words.map(([name]) => name))}.`;
}
