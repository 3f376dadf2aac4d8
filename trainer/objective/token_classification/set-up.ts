/** A label for each word of a text, and where its samples come from. */
export { setUpTagged as setUp } from '../classifier/classifier-setup.ts';
