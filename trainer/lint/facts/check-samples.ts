/** Checks the samples of a data file as training reads them, and collects facts for hints. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { withoutRole } from '../../data/chat/format-chat.ts';
import type { DataPlace } from '../../data/data-error.ts';
import { checkSameFormat, detectFormat } from '../../data/detect-format.ts';
import { type FormatSettings, formatExample } from '../../data/example/format-example.ts';
import { formatJudged } from '../../data/example/format-judged.ts';
import { formatPair, pairMargin } from '../../data/example/format-pair.ts';
import { decodesImages } from '../../data/image/image-library.ts';
import { findColumns, type LabeledColumns, labeledRecord } from '../../data/load/load-labeled.ts';
import { fieldError } from '../../data/read/record-fields.ts';
import { tagScheme } from '../../data/tagged/tag-scheme.ts';
import { findTaggedColumns, type TaggedColumns, tagColumn, taggedRecord } from '../../data/tagged/tagged-record.ts';
import { findGroupColumns, type GroupColumns } from '../../data/text-groups/group-columns.ts';
import { groupForm } from '../../data/text-groups/group-form.ts';
import { groupRecord } from '../../data/text-groups/group-record.ts';
import type { DataFormat, DataRecord } from '../../data/types.ts';
import { attachImages } from '../../data/vision/attach-images.ts';
import { bringsImages } from '../../data/vision/image-parts.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { trainedRolesOf } from '../../protocol/recipe/trained-roles.ts';
import { anyImages, plainChat, type TemplateFact } from './template-fact.ts';

type DataSettings = Recipe['data'];
type Task = Recipe['task'];

/** The facts about the samples that were read so far. */
interface SampleFacts {
  /** Whether a sample revealed the format or the columns. */
  readonly isKnown: boolean;
  readonly format?: DataFormat | undefined;
  /** Lines of samples that compare a text with itself. */
  readonly sameTexts?: readonly number[];
  /** Lines of pairs with an answer that begins with its prompt. */
  readonly repeatedPrompts?: readonly number[];
  /** Number of documents of each query. */
  readonly documents?: ReadonlyMap<string, number>;
  /** The trained roles that have a turn. */
  readonly seenRoles?: ReadonlySet<string>;
  /** Whether samples bring images that the model reads. */
  readonly bringsImages?: boolean;
  /** Whether images were not opened because the library that decodes them is missing. */
  readonly lacksImageLibrary?: boolean;
}

/** The check of a file's samples. As in training, the columns or the format of the first sample apply to the whole file. */
export interface SampleCheck {
  /** Whether the samples are words with a tag each. */
  readonly tagged: boolean;
  /** Opens what a sample refers to, before it is checked. @throws DataError */
  readonly open?: (sample: DataRecord) => Promise<DataRecord>;
  /** Checks one sample, whose columns have our names. @throws DataError */
  readonly read: (sample: DataRecord) => void;
  /** Checks properties of all samples together. @throws DataError */
  readonly end: () => void;
  readonly facts: () => SampleFacts;
}

type ChatSettings = Pick<CheckSettings, 'data' | 'maxLength' | 'template'>;

type CheckParts = Partial<SampleCheck> & Pick<SampleCheck, 'read' | 'facts'>;

interface CheckSettings {
  /** The template; undefined if the model is unknown. */
  readonly template?: TemplateFact | undefined;
  readonly data: DataSettings;
  readonly embedding: Recipe['embedding'];
  readonly maxLength: number;
}

/** Creates the check for the samples of a task. */
export function checkSamples(task: Task, settings: CheckSettings): SampleCheck {
  return { tagged: false, end: () => undefined, ...partsOf(task, settings) };
}

function partsOf(task: Task, { embedding, ...chats }: CheckSettings): CheckParts {
  const { data } = chats;
  const { target, embeds, compares, model, seesImages } = objectiveCatalog[task];
  if (target === 'tags') return taggedCheck(data);
  if (embeds) return groupCheck(embedding);
  if (model === 'classifier' && !compares) return labeledCheck(task, data);
  const check = compares
    ? compares.answers === 'judged'
      ? exampleCheck(chats, formatJudged)
      : pairCheck(chats, compares.readsMargin === true)
    : turnsCheck(chats, trainedRolesOf({ task, data }));
  return seesImages ? withImages(check, chats) : check;
}

/** The check with the images of samples opened, if the model reads any. */
function withImages(check: CheckParts, chats: ChatSettings): CheckParts {
  const opener = imageOpener(chats);
  return opener ? { ...check, open: opener.open, facts: () => ({ ...check.facts(), ...opener.facts() }) } : check;
}

/** A check that also collects which of the trained roles have a turn. */
function turnsCheck(chats: ChatSettings, trainedRoles: readonly string[] | undefined): CheckParts {
  const seenRoles = new Set<string>();
  const check = exampleCheck(chats, (sample, settings) => {
    const { notes = [] } = formatExample(sample, { ...settings, trainedRoles });
    for (const role of trainedRoles ?? []) if (!notes.includes(withoutRole(role))) seenRoles.add(role);
  });
  return { ...check, facts: () => ({ ...check.facts(), seenRoles }) };
}

/** Number of samples whose images are opened: enough to find a wrong path, and quick. */
const OPENED_SAMPLES = 200;

interface ImageOpener {
  readonly open: NonNullable<SampleCheck['open']>;
  readonly facts: () => Pick<SampleFacts, 'bringsImages' | 'lacksImageLibrary'>;
}

/** Opens the images of the first samples; undefined for a model that reads none. */
function imageOpener({ data, maxLength, template }: ChatSettings): ImageOpener | undefined {
  const images = template ? template.images : anyImages;
  if (images === undefined) return undefined;
  let opened = 0;
  let lacksLibrary = false;
  const open: ImageOpener['open'] = async sample => {
    if (!bringsImages(sample)) return sample;
    const format = data.format === 'auto' ? detectFormat(sample).format : data.format;
    const opens = opened++ < OPENED_SAMPLES && (await decodesImages());
    lacksLibrary ||= opened === 1 && !opens;
    const found = await attachImages(sample, format, opens ? images : undefined);
    const tokens = found.images?.reduce((sum, { vectors }) => sum + vectors, 0) ?? 0;
    if (tokens < maxLength) return found;
    const problem = `images of ${tokens} tokens, and max_length is ${maxLength}: training would drop this sample`;
    throw fieldError(sample, 'images', problem, 'Raise max_length, or lower data.image_max_pixels');
  };
  return { open, facts: () => ({ bringsImages: opened > 0, lacksImageLibrary: lacksLibrary }) };
}

function taggedCheck(data: DataSettings): CheckParts {
  let columns: TaggedColumns | undefined;
  const tags = new Map<string, DataPlace>();
  return {
    tagged: true,
    read: sample => {
      columns ??= findTaggedColumns(sample);
      for (const tag of taggedRecord(sample, columns, data.labels).tags)
        if (!tags.has(tag)) tags.set(tag, { file: sample.file, line: sample.line, key: tagColumn(columns) });
    },
    end: () => {
      tagScheme(tags);
    },
    facts: () => ({ isKnown: columns !== undefined }),
  };
}

function groupCheck(embedding: Recipe['embedding']): CheckParts {
  let columns: GroupColumns | undefined;
  const sameTexts: number[] = [];
  return {
    read: sample => {
      columns ??= findGroupColumns(sample);
      const [anchor, positive] = groupRecord(sample, columns, groupForm(embedding)).texts;
      if (anchor === positive) sameTexts.push(sample.line);
    },
    facts: () => ({ isKnown: columns !== undefined, sameTexts }),
  };
}

function pairCheck(chats: ChatSettings, readsMargin: boolean): CheckParts {
  const repeatedPrompts: number[] = [];
  let format: DataFormat | undefined;
  return {
    read: sample => {
      format = 'preference';
      const { chosen, rejected } = formatPair(sample, formatSettings(format, chats));
      if (chosen.repeatsPrompt || rejected.repeatsPrompt) repeatedPrompts.push(sample.line);
      if (readsMargin) pairMargin(sample);
    },
    facts: () => ({ isKnown: format !== undefined, format, repeatedPrompts }),
  };
}

function labeledCheck(task: Task, { labels }: DataSettings): CheckParts {
  const { target, ranks } = objectiveCatalog[task];
  let columns: LabeledColumns | undefined;
  const documents = new Map<string, number>();
  return {
    read: sample => {
      columns ??= findColumns(sample, target === 'labels' ? labels : []);
      const { first } = labeledRecord(sample, columns, {
        ranks,
        regression: target === 'number',
        multiple: target === 'labels',
        labels,
      });
      if (ranks) documents.set(first, (documents.get(first) ?? 0) + 1);
    },
    facts: () => ({ isKnown: columns !== undefined, documents }),
  };
}

/** A check of samples in one of the formats that are recognized by their columns. */
function exampleCheck(chats: ChatSettings, format: (sample: DataRecord, settings: FormatSettings) => unknown): CheckParts {
  const { data } = chats;
  let found: DataFormat | undefined;
  let first: DataRecord | undefined;
  return {
    read: sample => {
      first ??= sample;
      found ??= data.format === 'auto' ? detectFormat(sample).format : data.format;
      if (data.format === 'auto') checkSameFormat(sample, found, first);
      format(sample, formatSettings(found, chats));
    },
    facts: () => ({ isKnown: found !== undefined, format: found }),
  };
}

/** An unknown model may or may not have a template, so only samples that are chats are treated as chats. */
const formatSettings = (format: DataFormat, { data, template }: ChatSettings): FormatSettings => ({
  format,
  promptTemplate: data.prompt,
  labels: data.labels,
  shownLabels: data.labels,
  chat: template === undefined ? false : 'auto',
  completionOnly: data.completion_only,
  trainedTurns: data.trained_turns,
  ...rendererFor(template),
});

function rendererFor(template: TemplateFact | undefined): Pick<FormatSettings, 'chatRenderer'> {
  const chatRenderer = template === undefined ? plainChat : template.renderer();
  return chatRenderer === undefined ? {} : { chatRenderer };
}
