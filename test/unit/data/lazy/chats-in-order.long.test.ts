/**
 * Tests that chats in models' templates are the same tokenized on demand as up front. Every template meets every setting. Each template and each
 * setting meets every length and every shape of data; all combinations of two templates are in `chats-in-order.test.ts`.
 */
import { describe, it } from 'vitest';
import { holdChats, SETTINGS, TEMPLATES } from './chat-cases.ts';

describe.each(Object.values(TEMPLATES).map((template, t) => ({ name: Object.keys(TEMPLATES)[t], template, t })))(
  'chats in the template $name',
  ({ template, t }) => {
    const cases = Object.entries(SETTINGS).map(([trained, settings], s) => ({ trained, settings, s }));
    it.each(cases)('are those that are tokenized first, where $trained are trained', ({ settings, s }) =>
      holdChats({
        template,
        settings,
        shapes: s === t % cases.length ? ['messages', 'sharegpt'] : ['messages'],
        lengths: [(s + t) % 2 === 0 ? 30 : 70, 512],
      }),
    );
  },
);
