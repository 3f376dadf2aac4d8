/** The preview of labeled images. */
export { previewImages as preview } from '../classifier/classifier-preview.ts';
