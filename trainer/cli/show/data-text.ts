/** A preview of data as text: trained tokens between ⟦ and ⟧, and cut-off tokens between ⟨ and ⟩, with or without colors. */
import { styleText } from 'node:util';
import { counted, grouped, percent, table } from '../../protocol/text/format.ts';
import {
  type DataStatistics,
  drawnText,
  type Finding,
  isJudgedWhole,
  type PartStatistics,
  type SamplePage,
  type SamplePlace,
  type ShownSample,
  type ShownSequence,
  sequenceFacts,
  type TokenRun,
  tokensText,
} from '../../protocol/view/data.ts';

/** Maximum length of a bar in characters. */
const BAR = 40;
/** Maximum number of labels to list. */
const LISTED_LABELS = 20;

/** Returns the path of a file as a reader knows it. */
type ShownPath = (file: string) => string;
const unchanged: ShownPath = file => file;

/** Describes a page of samples. @param isColored colors trained tokens in addition to their marks */
export function describeSamples({ samples, from, part, format, more }: SamplePage, isColored: boolean, shown = unchanged): string {
  const paint: Paint = (style, text) => (isColored ? styleText(style, text, { validateStream: false }) : text);
  const lines = [
    ...(format === undefined ? [] : [`format ${format}`]),
    ...(samples.length === 0 ? [`no samples from ${from} on in data.${part}`] : legendOf(samples)),
    ...samples.map(sample => sampleText(sample, paint, shown)),
    ...(more ? [`more samples: --from ${from + samples.length}`] : []),
  ];
  return lines.join('\n\n');
}

const isWeighed = ({ weight }: TokenRun): boolean => weight !== undefined;

/** Explains the marks of tokens; images have none, and no token of a text with labels is trained. */
function legendOf(samples: readonly ShownSample[]): string[] {
  if (samples.every(({ picture }) => picture !== undefined)) return [];
  if (samples.every(isJudgedWhole)) return samples.some(isCut) ? ['cut off: ⟨…⟩'] : [];
  const weighs = samples.some(({ sequences }) => sequences.some(({ runs }) => runs.some(isWeighed)));
  return [`trained tokens: ⟦…⟧,${weighs ? ' with a weight: ⟦×0.5 …⟧,' : ''} cut off: ⟨…⟩`];
}

const isCut = ({ sequences }: ShownSample): boolean => sequences.some(({ cut }) => cut > 0);

type Paint = (style: 'green' | 'dim', text: string) => string;

function sampleText(sample: ShownSample, paint: Paint, shown: ShownPath): string {
  const { index, file, line, state, reason, sequences, labels, notes, picture, images = [] } = sample;
  const facts = [
    `— ${index}: ${placeText({ file: shown(file), line })}`,
    ...(labels ? [`label: ${labels.join(', ')}`] : []),
    ...(picture ? [`${picture.width} × ${picture.height} pixels`] : []),
    ...(images.length > 0 ? [`${counted(images.length, 'image')}: ${images.map(({ name }) => name).join(', ')}`] : []),
    ...(state === 'kept' ? [] : [state === 'dropped' ? 'left out' : 'malformed']),
  ];
  const about = [reason, ...notes].filter(text => text !== undefined);
  return [facts.join(', '), ...about, ...sequences.map(sequence => sequenceText(sequence, isJudgedWhole(sample), paint))].join('\n');
}

function sequenceText(sequence: ShownSequence, isJudged: boolean, paint: Paint): string {
  const { runs, hidden } = sequence;
  return [
    `  ${sequenceFacts(sequence, isJudged).join(', ')}`,
    runs.map(run => runText(run, paint)).join('') + (hidden > 0 ? ` … ${counted(hidden, 'token')} more` : ''),
  ].join('\n');
}

function runText({ use, weight, tokens }: TokenRun, paint: Paint): string {
  const text = tokens.map(token => (token.tag === undefined ? token.text : `${token.text}[${token.tag}]`)).join('');
  if (use === 'trained') return paint('green', weight === undefined ? `⟦${text}⟧` : `⟦×${weight} ${text}⟧`);
  return use === 'cut' ? paint('dim', `⟨${text}⟩`) : text;
}

const placeText = ({ file, line }: SamplePlace): string => (line === undefined ? file : `${file}:${line}`);

export function describeStatistics({ drawn, parts, leaks, reports, comparedAtMost }: DataStatistics, shown = unchanged): string {
  const compared = parts.some(({ samples }) => samples > comparedAtMost)
    ? [`only the first ${grouped(comparedAtMost)} samples were compared`]
    : [];
  const coverage = drawn ? [`${drawnText(drawn)} All samples are being read.`] : [];
  return [
    ...coverage,
    ...reports,
    ...parts.map(part => partText(part, shown)),
    findingText('held-out samples that are also trained on', leaks, shown),
    ...compared,
  ].join('\n\n');
}

function partText(facts: PartStatistics, shown: ShownPath): string {
  const { part, samples, padding, shapes, histogram, labels, duplicates, conflicts, emptyAnswers } = facts;
  const name = part === 'train' ? 'training' : 'held out';
  const most = Math.max(...histogram.map(({ count }) => count), 1);
  const bars = histogram.map(({ from, to, count }) => [`${from}–${to - 1}`, grouped(count), '█'.repeat(Math.ceil((BAR * count) / most))]);
  const named = labels.slice(0, LISTED_LABELS).map(({ name: label, count }) => [label, grouped(count)]);
  const size = counted(samples, 'sample');
  return [
    isWithoutTokens(facts) ? `${name}: ${size}` : `${name}: ${size}, ${tokensText(facts)}`,
    ...(histogram.length > 1 ? [table([['tokens', 'samples', ''], ...bars])] : []),
    ...(isWithoutTokens(facts)
      ? batchTable(shapes)
      : shapes.length > 0
        ? [shapeTable(shapes), `padding in total: ${percent(padding)}`]
        : []),
    ...(named.length > 0 ? [table([['label', 'count'], ...named])] : []),
    findingText('duplicates', duplicates, shown),
    findingText(`same input with another ${labels.length > 0 ? 'label' : 'answer'}`, conflicts, shown),
    ...(emptyAnswers ? [findingText('empty answers', emptyAnswers, shown)] : []),
  ].join('\n');
}

/** True if the samples are images, which count as one token each. */
const isWithoutTokens = ({ samples, tokens, shapes }: PartStatistics): boolean =>
  samples > 0 && tokens === samples && shapes.every(shape => shape.tokens === 1);

const batchTable = (shapes: PartStatistics['shapes']): string[] =>
  shapes.length === 0
    ? []
    : [
        table([
          ['batch size', 'batches', 'samples'],
          ...shapes.map(({ batch, batches, samples }) => [grouped(batch), grouped(batches), grouped(samples)]),
        ]),
      ];

const shapeTable = (shapes: PartStatistics['shapes']): string =>
  table([
    ['batch shape', 'batches', 'samples', 'padding'],
    ...shapes.map(shape => [`${shape.batch} × ${shape.tokens}`, grouped(shape.batches), grouped(shape.samples), percent(shape.padding)]),
  ]);

function findingText(what: string, { count, groups }: Finding, shownPath: ShownPath): string {
  if (count === 0) return `${what}: none`;
  const shown = groups.slice(0, 3).map(group => group.map(({ file, line }) => placeText({ file: shownPath(file), line })).join(' = '));
  return `${what}: ${grouped(count)} (${shown.join('; ')}${groups.length > shown.length ? ' …' : ''})`;
}
