/** The conversations that the tests of chat templates render. */
import { z } from 'zod';

/** The form of a chat. All names other than `messages` and `tools` are variables of the template. */
export const chatForm = z.looseObject({
  messages: z.array(z.looseObject({ role: z.string() })),
  tools: z.array(z.unknown()).optional(),
});
