/** Sets up a label for each word of a text, and its samples. */
export { setUpTagged as setUp } from '../classifier/classifier-setup.ts';
