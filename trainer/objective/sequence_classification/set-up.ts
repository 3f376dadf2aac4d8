/** One label for a text, and where its samples come from. */
export { setUpTexts as setUp } from '../classifier/classifier-setup.ts';
