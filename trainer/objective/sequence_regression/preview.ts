/** The preview of texts with a number. */
export { previewLabeled as preview } from '../classifier/classifier-preview.ts';
