/** A prompt with its images, as the model reads it. */
import { attachImages, messagesWithImages } from '../data/vision/attach-images.ts';
import { turnsBringImages } from '../data/vision/image-parts.ts';
import { type ImageReading, imagesIn, type SampleImage } from '../data/vision/sample-image.ts';
import type { Tokenizer } from '../format/tokenizer/tokenizer.ts';
import type { Conversation, GenerateOptions } from '../protocol/messages/job-messages.ts';
import type { ImageVectors } from '../vision/encode-images.ts';
import type { AnswerReading } from './answer-parts.ts';
import { encodeConversation, withReading } from './conversation.ts';
import { GenerateError } from './decoder.ts';
import { type EncodedPrompt, encodePrompt } from './prompt.ts';
import { encodeTrainedPrompt, type TrainedStyle, trainedRecord } from './trained-prompt.ts';

/** How a model reads the images of prompts. */
export interface Sight {
  readonly reading: ImageReading;
  /** Bytes of the encoder, which the first image loads and which then stays: its weights, and its temporaries for the largest view. */
  readonly encoderBytes: number;
  /** True once it is loaded. */
  readonly isLoaded: () => boolean;
  readonly encode: (images: readonly SampleImage[]) => Promise<ImageVectors>;
  /** Releases the encoder. */
  readonly dispose: () => Promise<void>;
}

/** The input of a prompt, as a person or a program gives it. */
export interface Question {
  readonly prompt: string;
  /** A chat that replaces the prompt. */
  readonly conversation?: Conversation | undefined;
  /** Files of images that belong to the prompt, or to the first message of the conversation. */
  readonly images?: readonly string[] | undefined;
  /** The prompt style of training, if the prompt is to be written the same way. */
  readonly style?: TrainedStyle | undefined;
  readonly options: Pick<GenerateOptions, 'chat'>;
}

export interface SeenPrompt extends EncodedPrompt {
  readonly reading: AnswerReading | undefined;
  readonly images: readonly SampleImage[];
}

/** @throws GenerateError for images that the model does not read; DataError for an image that cannot be used */
export async function seenPrompt(
  { prompt, conversation, images = [], style, options }: Question,
  tokenizer: Tokenizer,
  sight: Sight | undefined,
): Promise<SeenPrompt> {
  const brings = images.length > 0 || (conversation !== undefined && turnsBringImages(conversation.messages));
  if (brings && !sight) throw new GenerateError('this model reads no images');
  const reading = brings ? sight?.reading : undefined;
  const placeholder = sight?.reading.placeholder;
  if (!conversation && style) {
    const plain = trainedRecord(prompt, style);
    const record = reading ? await attachImages({ ...plain, value: { ...plain.value, images } }, style.format, reading) : plain;
    return { ...withReading(tokenizer, encodeTrainedPrompt(tokenizer, prompt, style, record, placeholder)), images: record.images ?? [] };
  }
  if (!conversation && brings && !options.chat) throw new GenerateError('images need the chat template: leave out --no-chat');
  if (!conversation && !brings) return { ...withReading(tokenizer, encodePrompt(tokenizer, prompt, options.chat)), images: [] };
  const asked: Conversation = conversation ?? { messages: [{ role: 'user', content: prompt }] };
  const messages = reading ? await messagesWithImages({ messages: asked.messages, images, source: 'the prompt' }, reading) : asked.messages;
  const encoded = encodeConversation(tokenizer, { ...asked, messages }, style, placeholder);
  const seen = imagesIn(messages);
  if (seen.length > 0 && !encoded.chat)
    throw new GenerateError('images need a chat template, and prompts of this model are written without one');
  return { ...encoded, images: seen };
}
