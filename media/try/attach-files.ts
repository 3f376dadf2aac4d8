/** Reads image files for a question: their bytes as a data URL, and a thumbnail. */
import { imagesProblem, PROMPT_IMAGE_TYPES } from '../../trainer/protocol/prompt-images.ts';
import type { TryAttached, TryFromPage } from '../../trainer/protocol/view/try.ts';

/** The longer side of a thumbnail in pixels: the size on the page, for screens with two pixels per point. */
const THUMBNAIL_PX = 192;
const QUALITY = 0.8;

export interface AttachParams {
  readonly post: (message: TryFromPage) => void;
  readonly attached: () => readonly TryAttached[];
  /** Shows why a file was refused; an empty text removes the last reason. */
  readonly refuse: (problem: string) => void;
}

/** Sends the files to the host, up to the first one that is refused. Sizes are checked before anything is read. */
export async function attachFiles(files: readonly File[], { post, attached, refuse }: AttachParams): Promise<void> {
  refuse('');
  const sizes = attached().map(({ bytes }) => bytes);
  for (const file of files) {
    sizes.push(file.size);
    const problem = typeProblem(file) ?? imagesProblem(sizes);
    if (problem !== undefined) return refuse(problem);
    const read = await Promise.all([dataUrlOf(file), thumbnailOf(file)]).catch(() => undefined);
    if (read === undefined) return refuse(`${nameOf(file)} is damaged, or is not an image.`);
    const [url, thumbnail] = read;
    post({ type: 'attach', name: nameOf(file), url, thumbnail });
  }
}

const typeProblem = (file: File): string | undefined =>
  PROMPT_IMAGE_TYPES.some(type => type === file.type)
    ? undefined
    : `${nameOf(file)} is not an image that can be attached. Use PNG, JPEG, WebP or GIF.`;

/** A pasted image may have no name. */
const nameOf = ({ name }: File): string => (name === '' ? 'Pasted image' : name.slice(0, 200));

async function thumbnailOf(file: File): Promise<string> {
  const image = await createImageBitmap(file);
  try {
    const scale = Math.min(1, THUMBNAIL_PX / Math.max(image.width, image.height));
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(image.width * scale));
    canvas.height = Math.max(1, Math.round(image.height * scale));
    canvas.getContext('2d')?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL('image/webp', QUALITY);
  } finally {
    image.close();
  }
}

function dataUrlOf(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(new Error(`${nameOf(file)} cannot be read`));
    reader.readAsDataURL(file);
  });
}
