/** Sets up a reranker: queries with documents and their relevance. */
export { setUpTexts as setUp } from '../classifier/classifier-setup.ts';
