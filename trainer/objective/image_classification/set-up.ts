/** One label for an image, and where its samples come from. */
export { setUpImages as setUp } from '../classifier/classifier-setup.ts';
