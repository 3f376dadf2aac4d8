/** Describes a setting, a value or the model as Markdown. Pure. */

import type { ModelFacts } from '../trainer/lint/facts/model-facts.ts';
import type { RecipeView } from '../trainer/lint/recipe-view.ts';
import type { AnyModel } from '../trainer/model/model-spec.ts';
import type { Position, Range } from '../trainer/protocol/problem.ts';
import { groups, type Setting, settings } from '../trainer/protocol/recipe/recipe-schema.ts';
import { grouped, parameterCount, percent } from '../trainer/protocol/text/format.ts';
import { spotAt } from './cursor.ts';
import { memoryText } from './memory-text.ts';
import { sweptSettingAt } from './swept-setting.ts';

export interface HoverText {
  readonly markdown: string;
  readonly range: Range;
}

export function hoverAt(view: RecipeView, at: Position): HoverText | undefined {
  const spot = spotAt(view.root, at);
  if (spot === undefined) return undefined;
  const keys = spot.path.filter(step => typeof step === 'string');
  const name = sweptSettingAt(keys)?.name ?? (Object.hasOwn(settings, keys.join('.')) ? keys.join('.') : keys.slice(0, 2).join('.'));
  const top = keys[0] ?? '';
  const path = Object.hasOwn(settings, name) ? name : top;
  const range = spot.on === 'key' ? (spot.located.keyRange ?? spot.located.range) : spot.located.range;
  const setting = Object.hasOwn(settings, path) ? settings[path] : undefined;
  if (setting === undefined) {
    const group = Object.hasOwn(groups, top) ? groups[top] : undefined;
    return group === undefined ? undefined : { range, markdown: `**${top}**\n\n${group.doc}` };
  }
  const parts = [settingText(path, setting)];
  const { content } = spot.located;
  const choice = spot.on === 'value' && content.kind === 'scalar' ? setting.type.choices?.[String(content.value)] : undefined;
  if (choice !== undefined && content.kind === 'scalar') parts.unshift(`\`${String(content.value)}\`: ${choice}`);
  if (path === 'model' && view.model !== undefined) parts.push(modelText(view.model));
  const memory = memoryText(view, path);
  if (memory !== undefined) parts.push(memory);
  return { range, markdown: parts.join('\n\n') };
}

export function settingText(path: string, { doc, type, defaultText, presence, memory }: Setting): string {
  const standard = defaultText === undefined ? (presence === 'required' ? 'required' : 'no default') : `default ${defaultText}`;
  const lines = [`**${path}**: ${type.name}, ${standard}`, doc];
  if (type.choices !== undefined)
    lines.push(
      Object.entries(type.choices)
        .map(([word, text]) => `- \`${word}\`: ${text}`)
        .join('\n'),
    );
  if (memory !== undefined) lines.push(`*Memory:* ${memory}`);
  return lines.join('\n\n');
}

function modelText(facts: ModelFacts): string {
  if (facts.kind === 'not-downloaded') return 'A name on the hub; it is downloaded when a run starts.';
  if (facts.kind === 'missing') return 'There is no such model here.';
  if (facts.kind !== 'ready') return facts.reason;
  const { model } = facts;
  const parameters = model.parameters.reduce((sum, { shape }) => sum + shape.reduce((n, d) => n * d, 1), 0);
  return [
    `*${model.family}*, ${parameterCount(parameters)} parameters (${grouped(parameters)}), ${model.blocks} blocks`,
    `hidden size ${model.hiddenSize}, ${inputText(model)}`,
  ].join('; ');
}

export const shareText = (trainable: number, share: number): string =>
  `${parameterCount(trainable)} trained, ${percent(share, share < 0.01 ? 2 : 1)}`;

function inputText(model: AnyModel): string {
  const input = model.kind === 'causal' ? { ...model, kind: 'tokens' as const } : model.input;
  if (input.kind === 'image') return `images of ${input.height} × ${input.width} pixels`;
  return `vocabulary ${grouped(input.vocabularySize)}, ${grouped(input.maxPositions)} positions`;
}
