/** Sets up direct preference optimization and its pairs. The reward of an answer is β times its log-ratio to the base model. */
import { setUpPreference } from '../preference/preference-setup.ts';

export const setUp = setUpPreference(
  ({ beta }) =>
    ({ ratio }) =>
      beta * ratio,
);
