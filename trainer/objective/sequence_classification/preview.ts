/** The preview of labeled texts. */
export { previewLabeled as preview } from '../classifier/classifier-preview.ts';
