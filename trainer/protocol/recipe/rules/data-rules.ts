/** Rules about the samples: requirements of the task, the format and the importance measure. */

import { namesWhere, orList } from '../../../catalog/entries.ts';
import { measureCatalog, measureWithoutData, measureWithoutLabels, needsData } from '../../../catalog/measures.ts';
import { methodCatalog } from '../../../catalog/methods.ts';
import { objectiveCatalog } from '../../../catalog/objectives.ts';
import type { Recipe } from '../recipe-schema.ts';
import { trainedRolesOf } from '../trained-roles.ts';
import type { Rule } from './rule.ts';

/** True if scores still have to be computed from data. */
const measuresData = ({ method, importance }: Recipe): boolean =>
  methodCatalog[method].chooses === 'rows' && needsData(importance.measure) && importance.scores === undefined;
const labeled = new Set(['auto', 'text_label']);
/** Formats whose turns have roles, or may have them. */
const withRoles = new Set(['auto', 'messages', 'sharegpt']);
/** Formats without a prompt. */
const promptless = new Set(['text', 'text_label']);

export const dataRules: readonly Rule[] = [
  {
    code: 'no-training-data',
    severity: 'warning',
    doc: 'A recipe without data can be estimated, but not trained.',
    reads: ['method', 'data.train', 'importance.measure', 'importance.scores', 'benchmarks'],
    // A recipe that has only benchmarks evaluates a model.
    check: recipe =>
      recipe.data.train.length === 0 && !measuresData(recipe) && Object.keys(recipe.benchmarks).length === 0
        ? { at: 'data.train', on: 'key', message: "there is no training data: set 'data.train'" }
        : undefined,
  },
  {
    code: 'measure-without-data',
    severity: 'error',
    doc: 'All measures except magnitude and random need data, unless saved scores are used.',
    reads: ['method', 'importance.measure', 'importance.scores', 'data.train'],
    check: recipe =>
      recipe.data.train.length === 0 && measuresData(recipe)
        ? {
            at: 'importance.measure',
            message: `'${recipe.importance.measure}' needs 'data.train'; ${measureWithoutData} needs no data`,
            suggestion: { kind: 'replace-value', to: measureWithoutData },
          }
        : undefined,
  },
  {
    code: 'measure-without-labels',
    severity: 'error',
    doc: 'Class-wise measures need labels.',
    reads: ['method', 'importance.measure', 'importance.scores', 'data.format', 'task'],
    check: recipe => {
      const { importance, data, task } = recipe;
      const { model, target } = objectiveCatalog[task];
      const hasLabels = model === 'causal' ? labeled.has(data.format) : target === 'label';
      return measuresData(recipe) && measureCatalog[importance.measure].byClass && !hasLabels
        ? {
            at: 'importance.measure',
            message: `'${importance.measure}' compares classes and needs labeled samples; ${measureWithoutLabels} needs no labels`,
            suggestion: { kind: 'replace-value', to: measureWithoutLabels },
          }
        : undefined;
    },
  },
  {
    code: 'packing-with-labels',
    severity: 'error',
    doc: "Packing is for language models; samples with labels can't be packed.",
    reads: ['packing', 'data.format', 'task'],
    check: ({ packing, data, task }) =>
      packing && !objectiveCatalog[task].compares && (data.format === 'text_label' || objectiveCatalog[task].model !== 'causal')
        ? {
            at: 'packing',
            message: `samples of ${objectiveCatalog[task].model === 'causal' ? "format 'text_label'" : `task '${task}'`} can't be packed`,
            suggestion: { kind: 'replace-value', to: 'false' },
          }
        : undefined,
  },
  {
    code: 'packing-with-measure',
    severity: 'error',
    doc: 'Fisher and the class-wise measures look at samples one by one, so samples cannot share a row.',
    reads: ['packing', 'method', 'importance.measure', 'importance.scores'],
    check: recipe =>
      recipe.packing && measuresData(recipe) && measureCatalog[recipe.importance.measure].perSample
        ? {
            at: 'packing',
            message: `the measure '${recipe.importance.measure}' scores samples one by one, so they can't be packed`,
            suggestion: { kind: 'replace-value', to: 'false' },
          }
        : undefined,
  },
  {
    code: 'packing-with-pairs',
    severity: 'error',
    doc: "The answers of a pair stand in rows of their own; they can't be packed.",
    reads: ['packing', 'task'],
    check: ({ packing, task }) =>
      packing && objectiveCatalog[task].compares
        ? { at: 'packing', message: `the answers of task '${task}' can't be packed`, suggestion: { kind: 'replace-value', to: 'false' } }
        : undefined,
  },
  {
    code: 'untrained-part-of-compared-answer',
    severity: 'error',
    doc: 'Answers that are compared or judged count as a whole, with their reasoning and their end.',
    reads: ['task', 'data.train_reasoning', 'data.train_end_of_turn'],
    check: ({ task, data }) => {
      const at = !data.train_reasoning ? 'data.train_reasoning' : !data.train_end_of_turn ? 'data.train_end_of_turn' : undefined;
      if (at === undefined || !objectiveCatalog[task].compares) return undefined;
      const message = `task '${task}' reads whole answers, so '${at}' can't be false`;
      return { at, message, suggestion: { kind: 'replace-value', to: 'true' } };
    },
  },
  {
    code: 'roles-of-turns',
    severity: 'error',
    doc: 'Only turns of chats have roles.',
    reads: ['task', 'data.trained_roles', 'data.format', 'data.completion_only'],
    check: recipe =>
      trainedRolesOf(recipe) && !withRoles.has(recipe.data.format)
        ? {
            at: 'data.trained_roles',
            on: 'key',
            message: `samples of the format '${recipe.data.format}' have no turns, so no roles can be chosen; 'data.completion_only: false' trains prompts too`,
          }
        : undefined,
  },
  {
    code: 'format-for-task',
    severity: 'error',
    doc: 'A classification task reads samples with a label; a task that compares answers reads pairs of them, and one that judges them reads prompts with an answer.',
    reads: ['task', 'data.format'],
    check: ({ task, data }) => {
      const { reads, target, compares } = objectiveCatalog[task];
      if (compares?.answers === 'judged' && promptless.has(data.format))
        return {
          at: 'data.format',
          message: `task '${task}' reads prompts with an answer and its label (true or false), not '${data.format}'`,
          suggestion: { kind: 'replace-value', to: 'auto' },
        };
      if (compares?.answers === 'pairs' && data.format !== 'auto' && data.format !== 'preference')
        return {
          at: 'data.format',
          message: `task '${task}' compares answers: its samples have the keys chosen and rejected`,
          suggestion: { kind: 'replace-value', to: 'preference' },
        };
      if (!compares && data.format === 'preference')
        return {
          at: 'data.format',
          message: `task '${task}' does not compare answers; ${orList(namesWhere(objectiveCatalog, entry => entry.compares !== undefined))} do`,
        };
      if (reads === 'texts' && (target === 'label' || target === 'labels') && !labeled.has(data.format)) {
        return {
          at: 'data.format',
          message: `task '${task}' needs samples with a label`,
          suggestion: { kind: 'replace-value', to: 'text_label' },
        };
      }
      if ((target === 'tags' || target === 'similarity') && data.format !== 'auto')
        return {
          at: 'data.format',
          message: `task '${task}' reads ${target === 'tags' ? 'words with tags' : 'texts that belong together'}, not '${data.format}'`,
          suggestion: { kind: 'replace-value', to: 'auto' },
        };
      return reads === 'images' && data.format !== 'auto'
        ? {
            at: 'data.format',
            message: `task '${task}' reads images, not '${data.format}'`,
            suggestion: { kind: 'replace-value', to: 'auto' },
          }
        : undefined;
    },
  },
  {
    code: 'prompt-without-text',
    severity: 'error',
    doc: 'A prompt template contains {text}.',
    reads: ['data.prompt'],
    check: ({ data }) =>
      data.prompt.includes('{text}')
        ? undefined
        : { at: 'data.prompt', message: 'the template has no {text}, so every sample would read the same' },
  },
  {
    code: 'labels-repeat',
    severity: 'error',
    doc: 'Each label has one id.',
    reads: ['data.labels'],
    check: ({ data }) => {
      const seen = new Set<string>();
      const repeated = data.labels.find(label => seen.size === seen.add(label).size);
      return repeated === undefined ? undefined : { at: 'data.labels', on: 'key', message: `the label '${repeated}' is listed twice` };
    },
  },
  {
    code: 'column-twice',
    severity: 'warning',
    doc: 'Each column of the data has one role.',
    reads: ['data.columns'],
    check: ({ data }) => {
      const names = Object.values(data.columns);
      const repeated = names.find((name, index) => names.indexOf(name) !== index);
      return repeated === undefined ? undefined : { at: 'data.columns', on: 'key', message: `the column '${repeated}' is used twice` };
    },
  },
];
