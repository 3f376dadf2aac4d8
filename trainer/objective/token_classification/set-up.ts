/** One label for a text, and where its samples come from. */
export { setUpTagged as setUp } from '../classifier/classifier-setup.ts';
