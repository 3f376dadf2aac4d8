/** Who may ask: by the Host and Origin of a request, and by its token. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { bearerToken, isSameSecret } from '../machine/same-secret.ts';
import { RequestError } from './request-error.ts';

export interface AdmissionRules {
  /** The address that the server listens on. */
  readonly host: string;
  /** Undefined serves whoever can reach the port. */
  readonly token: string | undefined;
  /** Origins of web pages that may ask. */
  readonly origins: readonly string[];
}

/** The names under which this machine is reached; a page that lets its own name lead here is refused. */
const isOwnHost = (header: string | undefined, host: string): boolean => {
  const name = (header ?? '').replace(/:\d+$/, '').toLowerCase();
  return ['localhost', '127.0.0.1', '[::1]', host.toLowerCase()].includes(name);
};

/**
 * Lets a request in. @returns whether it is the preflight of a permitted page
 * @throws RequestError 401 or 403
 */
export function admit({ host, token, origins }: AdmissionRules, { headers, method }: IncomingMessage, response: ServerResponse): boolean {
  const { origin } = headers;
  if (origin !== undefined) {
    if (!origins.includes(origin))
      throw new RequestError(403, `the web page ${origin} may not ask; start the server with --allow-origin ${origin}`);
    response.setHeader('access-control-allow-origin', origin);
    response.setHeader('vary', 'origin');
    if (method === 'OPTIONS') {
      // Libraries of the API send headers of their own.
      response.setHeader('access-control-allow-headers', headers['access-control-request-headers'] ?? 'authorization, content-type');
      response.setHeader('access-control-allow-methods', 'GET, POST');
      return true;
    }
  }
  const isOpenToAll = host === '0.0.0.0' || host === '::';
  if (!isOpenToAll && !isOwnHost(headers.host, host))
    throw new RequestError(403, `the server answers at ${host} and takes no request under another name`);
  if (token === undefined) return false;
  const given = bearerToken(headers.authorization);
  if (given === undefined)
    throw new RequestError(401, 'the API key is missing: send the one that the server printed as "Authorization: Bearer KEY"', {
      code: 'invalid_api_key',
    });
  if (!isSameSecret(given, token))
    throw new RequestError(401, 'the API key is wrong: send the one that the server printed when it started', { code: 'invalid_api_key' });
  return false;
}
