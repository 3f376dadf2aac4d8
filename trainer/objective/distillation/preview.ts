/** The preview of texts that a teacher has read. */
export { previewCausal as preview } from '../causal/causal-preview.ts';
