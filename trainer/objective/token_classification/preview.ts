/** The preview of words with labels. */
export { previewTagged as preview } from '../classifier/classifier-preview.ts';
