/** Thrown for a request that is refused, in the format of OpenAI's errors. */
export class RequestError extends Error {
  override name = 'RequestError';
  readonly status: number;
  readonly param: string | undefined;
  readonly code: string | undefined;

  constructor(status: number, message: string, { param, code }: { readonly param?: string; readonly code?: string } = {}) {
    super(message);
    this.status = status;
    this.param = param;
    this.code = code;
  }
}
