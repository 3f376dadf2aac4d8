/** The names that samples' columns may have, by what is trained: what `data.columns` maps to. */
import type { ObjectiveEntry } from '../../catalog/objectives.ts';

const ROLES: Readonly<Record<ObjectiveEntry['target'], readonly string[]>> = {
  tokens: ['text', 'label', 'instruction', 'input', 'output', 'prompt', 'completion', 'messages', 'conversations'],
  preference: ['prompt', 'chosen', 'rejected'],
  judgment: ['prompt', 'completion', 'label', 'messages', 'conversations', 'instruction', 'input', 'output'],
  label: ['text', 'text_pair', 'label'],
  labels: ['text', 'text_pair', 'label'],
  number: ['text', 'text_pair', 'label'],
  tags: ['tokens', 'tags'],
  similarity: ['anchor', 'positive', 'negative', 'score'],
};

/** In the order in which a form asks for them. */
export const rolesOf = ({ target, reads }: ObjectiveEntry): readonly string[] => (reads === 'images' ? ['image', 'label'] : ROLES[target]);
