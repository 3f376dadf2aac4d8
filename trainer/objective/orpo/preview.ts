/** The preview of pairs of answers. */
export { previewPairs as preview } from '../preference/preference-preview.ts';
