/** The labels of compared and judged answers. */
import type { ShownSide } from '../../trainer/protocol/view/data.ts';

export const SIDE_NAMES: Readonly<Record<ShownSide, string>> = {
  chosen: 'Better answer',
  rejected: 'Worse answer',
  desirable: 'Good answer',
  undesirable: 'Bad answer',
};
