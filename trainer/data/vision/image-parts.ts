/** Finds the images of a record, and puts them into the content of its turns. */
import { isRecord } from '../../narrow.ts';
import { describeValue } from '../data-error.ts';
import { commonTurns, turnNames } from '../read/common-turns.ts';
import { roleNamed } from '../read/read-conversation.ts';
import { fieldError } from '../read/record-fields.ts';
import type { DataFormat, DataRecord } from '../types.ts';
import { IMAGE_MARK, type ImagePart, type SampleImage } from './sample-image.ts';

/** The columns with the images of a sample. */
export const IMAGE_COLUMNS = ['images', 'image'] as const;

/** Types of parts of a message that are images, and the fields that name them. */
const PART_TYPES: readonly unknown[] = ['image', 'image_url'];
const PART_FIELDS = ['image', 'image_url', 'url', 'path', 'base64'] as const;

/** The key of the turns and that of a turn's content, by format. */
const TURNS = {
  messages: { turns: 'messages', role: 'role', content: 'content' },
  sharegpt: { turns: 'conversations', role: 'from', content: 'value' },
} as const;

/** The keys under which a record has the turns that images belong to. */
interface TurnKeys {
  readonly turns: string;
  readonly role: string;
  readonly content: string;
}

/** The keys of a prompt that may be a list of turns, next to answers that have keys of their own. */
const PROMPT_KEYS = ['prompt', 'conversations', 'messages'] as const;

/** Undefined for a record whose question is a text. */
function turnsOf({ value }: DataRecord, format: DataFormat): TurnKeys | undefined {
  if (format === 'messages' || format === 'sharegpt') return TURNS[format];
  const key = format === 'preference' || format === 'prompt_completion' ? PROMPT_KEYS.find(name => Array.isArray(value[name])) : undefined;
  return key && { turns: key, ...turnNames(value[key]) };
}

/** An image as the data names it: a path, a data URL, bytes, or an object with one of these. */
export interface NamedImage {
  readonly given: unknown;
  /** The place in the record. */
  readonly key: string;
}

const isImagePart = (part: unknown): part is Record<string, unknown> => isRecord(part) && PART_TYPES.includes(part.type);

/** True if a record brings images, judging by its columns and parts. */
export function bringsImages({ value }: DataRecord): boolean {
  if (IMAGE_COLUMNS.some(name => Object.hasOwn(value, name) && value[name] !== null)) return true;
  return [value.messages, value.conversations, value.prompt, value.chosen].some(turnsBringImages);
}

/** The record of a pair whose prompt, if it has none, is the beginning of both chats: images belong to the prompt. */
export function withOwnPrompt(record: DataRecord): DataRecord {
  const { chosen, rejected } = record.value;
  const isImplicit = PROMPT_KEYS.every(key => (record.value[key] ?? undefined) === undefined);
  if (!isImplicit || !Array.isArray(chosen) || !Array.isArray(rejected)) return record;
  const prompt = commonTurns<unknown>(chosen, rejected);
  const after = (turns: readonly unknown[]) => turns.slice(prompt.length);
  return { ...record, value: { ...record.value, prompt, chosen: after(chosen), rejected: after(rejected) } };
}

/** True if turns have parts that are images. */
export const turnsBringImages = (turns: unknown): boolean =>
  Array.isArray(turns) &&
  turns.some(turn => isRecord(turn) && [turn.content, turn.value].some(content => Array.isArray(content) && content.some(isImagePart)));

/** The images of a record in the order of the text. @throws DataError for more or fewer images than places */
export function imagesNamedIn(record: DataRecord, format: DataFormat): readonly NamedImage[] {
  const found: NamedImage[] = [];
  placeImages(record, format, named => {
    found.push(named);
    return undefined;
  });
  return found;
}

/** The record with its images in place. @param images in the order of `imagesNamedIn` */
export function withImages(record: DataRecord, format: DataFormat, images: readonly SampleImage[]): DataRecord {
  let next = 0;
  return { ...placeImages(record, format, () => images[next++]), images };
}

type Take = (named: NamedImage) => SampleImage | undefined;

function placeImages(record: DataRecord, format: DataFormat, take: Take): DataRecord {
  const waiting = columnImages(record);
  const count = waiting.length;
  const turns = turnsOf(record, format);
  const given = turns && record.value[turns.turns];
  // Other formats have one question; the reader of the format puts the images into it.
  if (!turns || !Array.isArray(given)) {
    for (const named of waiting) take(named);
    return record;
  }
  let places = 0;
  const imageAt = (own: NamedImage | undefined, key: string): ImagePart => {
    places++;
    const named = own ?? waiting.shift();
    if (named) return partOf(take(named));
    const columns = IMAGE_COLUMNS.map(name => `"${name}"`).join(' or ');
    throw fieldError(record, key, 'a place for an image without an image', `Name its file in the part, or in a column ${columns}`);
  };
  const placed = given.map((turn: unknown, i) => {
    if (!isRecord(turn)) return turn;
    const key = `${turns.turns}[${i}].${turns.content}`;
    const content = placeInContent(turn[turns.content], key, count > 0, imageAt);
    return content === turn[turns.content] ? turn : { ...turn, [turns.content]: content };
  });
  if (waiting.length > 0 && places > 0)
    throw fieldError(record, turns.turns, `${count} images, but ${places} places for images`, `Write ${IMAGE_MARK} once for each image`);
  const named = waiting.map(image => partOf(take(image)));
  return { ...record, value: { ...record.value, [turns.turns]: named.length > 0 ? before(placed, named, turns) : placed } };
}

/** Part of a record whose image is not known yet is never read. */
const partOf = (image: SampleImage | undefined) => ({ type: 'image', image }) as ImagePart;

/** Puts images without a place at the beginning of the first question, as TRL does. */
function before(turns: readonly unknown[], images: readonly ImagePart[], { role, content }: TurnKeys): unknown[] {
  const first = turns.findIndex(turn => isRecord(turn) && roleNamed(String(turn[role])) === 'user');
  return turns.map((turn, i) => (i === first && isRecord(turn) ? { ...turn, [content]: [...images, ...asParts(turn[content])] } : turn));
}

const asParts = (content: unknown): unknown[] => (Array.isArray(content) ? content : [{ type: 'text', text: content }]);

type ImageAt = (own: NamedImage | undefined, key: string) => ImagePart;

function placeInContent(content: unknown, key: string, hasColumn: boolean, imageAt: ImageAt): unknown {
  if (typeof content === 'string') return hasColumn ? splitAtMarks(content, () => imageAt(undefined, key)) : content;
  if (!Array.isArray(content)) return content;
  return content.map((part: unknown, i) => {
    if (!isImagePart(part)) return part;
    const at = `${key}[${i}]`;
    const field = PART_FIELDS.find(name => part[name] !== undefined && part[name] !== null);
    return imageAt(field && { given: part[field], key: `${at}.${field}` }, at);
  });
}

/** Splits a text at its marks; text without marks stays as it is. */
function splitAtMarks(text: string, imageAt: () => ImagePart): unknown {
  if (!text.includes(IMAGE_MARK)) return text;
  const [first = '', ...others] = text.split(IMAGE_MARK);
  const written = (piece: string) => (piece === '' ? [] : [{ type: 'text', text: piece }]);
  return [...written(first), ...others.flatMap(piece => [imageAt(), ...written(piece)])];
}

/**
 * The content of the question of a record in a format without turns: its text, with the images at its marks, or before it if it has none.
 * @throws DataError for more or fewer images than marks
 */
export function questionOf(record: DataRecord, key: string, text: string): unknown {
  const { images = [] } = record;
  if (images.length === 0) return text;
  const parts = images.map(image => partOf(image));
  const marks = text.split(IMAGE_MARK).length - 1;
  if (marks === 0) return [...parts, { type: 'text', text }];
  if (marks !== images.length)
    throw fieldError(record, key, `${marks} places for images, but ${images.length} images`, `Write ${IMAGE_MARK} once for each image`);
  return splitAtMarks(text, () => partOf(parts.shift()?.image));
}

function columnImages(record: DataRecord): NamedImage[] {
  for (const key of IMAGE_COLUMNS) {
    const given = record.value[key];
    if (given === undefined || given === null) continue;
    if (!Array.isArray(given)) return [{ given, key }];
    return given.map((one: unknown, i) => {
      const named = { given: one, key: `${key}[${i}]` };
      if (one === null) throw fieldError(record, named.key, `${describeValue(one)}, expected an image`, 'Name the file of the image');
      return named;
    });
  }
  return [];
}
