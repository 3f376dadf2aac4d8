/** The images of samples of language models: where their bytes are, and what they become in the text. */
import { isRecord } from '../../narrow.ts';

/** The text that an image becomes in a chat; the model decides it from the size of the image. */
export interface ImageText {
  /** The text in place of the template's placeholder. */
  readonly text: string;
  /** Number of tokens that vectors of the image replace. */
  readonly vectors: number;
  /** The rows and columns of the vectors, for models with positions in two dimensions. */
  readonly grid?: { readonly rows: number; readonly columns: number };
}

/** An image of a sample. */
export interface SampleImage extends ImageText {
  /** The file with its bytes; empty for bytes inside a data file that were only looked at. */
  readonly path: string;
  /** Identifies the content: a hash of the size and of the bytes, or of parts of a large file. */
  readonly key: string;
  /** In pixels, as it is shown: turned as its camera noted. */
  readonly width: number;
  readonly height: number;
}

/** How a model takes images into a text. */
export interface ImageReading {
  /** The text by which the chat template marks the place of an image. */
  readonly placeholder: string;
  /** The id of the token that stands for a vector. */
  readonly imageToken: number;
  /** @param index of the image in its sample, from 0 @throws Error for a size that the model does not take */
  readonly textOf: (size: { readonly width: number; readonly height: number }, index: number) => ImageText;
  /** The folder for the bytes of images that are inside data files; if left out, such images are only looked at. */
  readonly folder?: string | undefined;
}

/** The part of an encoder that decides about text. */
interface ImageWriter {
  readonly placeholder: string;
  readonly layout: (size: { readonly width: number; readonly height: number }) => Omit<ImageText, 'vectors'> & {
    readonly views: readonly { readonly vectors: number }[];
  };
  readonly numberOf?: ((index: number) => string) | undefined;
}

/** How images become text for a model with this encoder and image token. @param folder see `ImageReading` */
export const imageReading = ({ placeholder, layout, numberOf }: ImageWriter, imageToken: number, folder?: string): ImageReading => ({
  placeholder,
  imageToken,
  folder,
  textOf(size, index) {
    const { text, views, grid } = layout(size);
    return { text: (numberOf?.(index) ?? '') + text, vectors: views.reduce((sum, view) => sum + view.vectors, 0), ...(grid && { grid }) };
  },
});

/** An image as a part of a message. */
export interface ImagePart {
  readonly type: 'image';
  readonly image: SampleImage;
}

/** The text in a prompt that stands for the next image of the sample, as in LLaVA and LLaMA-Factory. */
export const IMAGE_MARK = '<image>';

/** True for a part with an image that was opened. */
export const isPlacedImage = (part: unknown): part is ImagePart => isRecord(part) && part.type === 'image' && isRecord(part.image);

/** The images of a chat, in the order of its text. */
export const imagesIn = (messages: readonly { readonly content?: unknown }[]): readonly SampleImage[] =>
  messages.flatMap(({ content }) => (Array.isArray(content) ? content.filter(isPlacedImage).map(({ image }) => image) : []));
