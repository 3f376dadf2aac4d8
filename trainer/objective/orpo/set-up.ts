/** Sets up odds ratio preference optimization and its pairs. The reward is β times the log-probability per token. */
import { rewardPerToken } from '../preference/pair-measures.ts';
import { setUpPreference } from '../preference/preference-setup.ts';

export const setUp = setUpPreference(rewardPerToken);
