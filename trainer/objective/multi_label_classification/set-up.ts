/** Any number of labels for a text, and where its samples come from. */
export { setUpTexts as setUp } from '../classifier/classifier-setup.ts';
