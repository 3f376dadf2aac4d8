/** Tests that chats in models' templates are the same tokenized on demand as up front. */
import { describe, it } from 'vitest';
import { holdChats, SETTINGS, TEMPLATES } from './chat-cases.ts';

describe.each(Object.entries(TEMPLATES))('chats in the template %s', (_, template) => {
  it.each(Object.entries(SETTINGS))('are those that are tokenized first, where %s are trained', (_, settings) =>
    holdChats(template, settings),
  );
});
