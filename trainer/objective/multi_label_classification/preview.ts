/** The preview of texts with any number of labels. */
export { previewLabeled as preview } from '../classifier/classifier-preview.ts';
