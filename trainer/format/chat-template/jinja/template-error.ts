/** A template that is broken, that raises an exception, that needs something that is not supported, or that takes too much. */
export class TemplateError extends Error {
  override name = 'TemplateError';
}

/** The error for a feature of Jinja that this implementation refuses by name rather than computes differently. */
export const unsupported = (what: string): TemplateError => new TemplateError(`${what} is not supported in chat templates`);
