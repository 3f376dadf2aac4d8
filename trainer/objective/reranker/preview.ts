/** The preview of queries with documents. */
export { previewLabeled as preview } from '../classifier/classifier-preview.ts';
