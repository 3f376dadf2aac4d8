/** Sets up one number per text, and its samples. */
export { setUpTexts as setUp } from '../classifier/classifier-setup.ts';
