/** Sets up one label per image, and its samples. */
export { setUpImages as setUp } from '../classifier/classifier-setup.ts';
