/** Sets up any number of labels per text, and its samples. */
export { setUpTexts as setUp } from '../classifier/classifier-setup.ts';
