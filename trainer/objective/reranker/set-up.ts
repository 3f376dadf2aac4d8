/** A reranker: queries with documents and how relevant these are. */
export { setUpTexts as setUp } from '../classifier/classifier-setup.ts';
