/** The message for an unsupported model class: the missing feature, and the most similar supported class. */

import { didYouMean } from '../catalog/did-you-mean.ts';
import type { ConfigJson } from './config-json.ts';
import { type Missing, missingOfTimm, missingParts } from './missing-parts.ts';

const ENDING = /(For[A-Z]\w*|Model)$/;
const nearestByEnding: readonly (readonly [RegExp, string])[] = [
  [/ImageClassification$/, 'ViTForImageClassification'],
  [/(CausalLM|ConditionalGeneration|LMHeadModel)$/, 'LlamaForCausalLM'],
  [/SequenceClassification$|MaskedLM$|TokenClassification$/, 'BertForSequenceClassification'],
];

/** The page that lists the families and what is supported for each. */
const LISTED = 'docs/reference/models.md';
/** The page that lists timm's names. */
const LISTED_TIMM = 'docs/reference/model-folders.md';

/** Endings of supported classes, tried when no class of the family has the same ending. */
const TASKS = ['ForImageClassification', 'ForSequenceClassification', 'ForCausalLM', 'ForConditionalGeneration'];

interface Answer {
  readonly what: string;
  readonly found: readonly Missing[];
  readonly nearest: string | undefined;
  /** The page that lists everything supported. */
  readonly listed: string;
}

function answer({ what, found, nearest, listed }: Answer): string {
  const needs = [...new Set(found.map(each => each.needs))];
  return [
    `config.json names ${what}, which is not supported`,
    ...(needs.length > 0 ? [`: it needs ${needs.join(' and ')}`] : []),
    ...(nearest === undefined ? [] : [`; ${nearest}`]),
    ` (${listed} lists all)`,
  ].join('');
}

/** @param named the classes that config.json names @param supported all supported classes */
export function unsupportedArchitecture(named: readonly string[], config: ConfigJson, supported: readonly string[]): string {
  const [first] = named;
  if (first === undefined) {
    const type = typeof config.model_type === 'string' ? `, and model_type ${config.model_type} does not tell which` : '';
    return `config.json names no architecture${type}: add "architectures" with one of the classes in ${LISTED}`;
  }
  const asks = (key: string): boolean => {
    const value = config[key] ?? false;
    return value !== 0 && value !== false;
  };
  const own = supported.find(each => TASKS.some(task => each === `${familyOf(first)}${task}`));
  const found = [
    ...(own === undefined ? [] : [{ needs: 'another head' }]),
    ...missingParts.filter(missing => (own === undefined && isNamed(missing, first)) || missing.keys?.some(asks)),
  ];
  const near = own ?? nearestClass(first, found, supported);
  const nearest = near === undefined ? undefined : `the nearest supported class is ${near}`;
  return answer({ what: `the architecture ${named.join(', ')}`, found, nearest, listed: LISTED });
}

/** @param name the name in config.json */
export function unsupportedTimm(name: string): string {
  const [found] = missingOfTimm.filter(({ names }) => names?.test(name));
  const nearest = found && `the nearest supported model is ${found.nearest}`;
  return answer({ what: `timm's architecture ${name}`, found: found ? [found] : [], nearest, listed: LISTED_TIMM });
}

const familyOf = (name: string): string => name.replace(ENDING, '');
const isNamed = ({ names }: Missing, name: string): boolean => names?.test(familyOf(name)) ?? false;

function nearestClass(name: string, found: readonly Missing[], supported: readonly string[]): string | undefined {
  const ending = ENDING.exec(name)?.[0] ?? '';
  const byEnding = nearestByEnding.find(([pattern]) => pattern.test(name))?.[1];
  const alike = TASKS.filter(task => byEnding?.endsWith(task));
  const listed = found.flatMap(({ nearest }) =>
    nearest === undefined ? [] : [ending, ...alike, ...TASKS].map(task => `${nearest}${task}`),
  );
  return [...listed, supportedByName(name, supported), byEnding].find(each => each !== undefined && supported.includes(each));
}

/**
 * The supported class that a misspelled name probably means. Family and ending ("ForCausalLM") are compared separately, as most endings are
 * alike. A class whose missing feature is known is not a misspelling.
 */
export function supportedByName(name: string, supported: readonly string[]): string | undefined {
  if (missingParts.some(missing => isNamed(missing, name))) return undefined;
  const split = (of: string): [string, string] => {
    const ending = ENDING.exec(of)?.[0] ?? '';
    return [of.slice(0, of.length - ending.length), ending];
  };
  const [family, ending] = split(name);
  const known = supported.map(split);
  const [nearFamily, nearEnding] = [0, 1].map(part =>
    didYouMean([family, ending][part] ?? '', [...new Set(known.map(each => each[part] ?? ''))]),
  );
  return supported.find(candidate => candidate === `${nearFamily}${nearEnding}`);
}
