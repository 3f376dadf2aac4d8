/** Combines two attachments: everything that both train, and their hooks one after the other. */

import type { MethodName } from '../catalog/methods.ts';
import type { LinearHook } from '../model/tracer.ts';
import type { Attachment } from './method.ts';

export function combine(method: MethodName, parts: readonly Attachment[]): Attachment {
  const hooks = parts.flatMap(({ linearHook }) => (linearHook ? [linearHook] : []));
  const linearHook: LinearHook = (tracer, module, x, y, ids) => hooks.reduce((output, hook) => hook(tracer, module, x, output, ids), y);
  return {
    method,
    lora: new Map(parts.flatMap(({ lora }) => [...(lora ?? [])])),
    trainables: parts.flatMap(({ trainables }) => trainables),
    frozen: parts.flatMap(({ frozen = [] }) => frozen),
    ...(hooks.length > 0 ? { linearHook } : {}),
    *initial() {
      for (const part of parts) yield* part.initial();
    },
    *derived(weight) {
      for (const part of parts) if (part.derived) yield* part.derived(weight);
    },
  };
}
