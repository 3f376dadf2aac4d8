/** Language models, and where their samples come from. */
export { setUpCausal as setUp } from '../causal/causal-setup.ts';
