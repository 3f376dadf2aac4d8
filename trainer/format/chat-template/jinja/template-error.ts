/** Error for a template that is broken, raises an exception, needs an unsupported feature, or exceeds the limits. */
export class TemplateError extends Error {
  override name = 'TemplateError';
}

/** The error for a Jinja feature that is explicitly refused, so that it is not computed differently. */
export const unsupported = (what: string): TemplateError => new TemplateError(`${what} is not supported in chat templates`);
