/** Sets up language models and their samples. */
export { setUpCausal as setUp } from '../causal/causal-setup.ts';
