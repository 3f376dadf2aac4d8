/** Access control by the Host and Origin headers of a request, and by its token. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { bearerToken, isSameSecret } from '../machine/same-secret.ts';
import { RequestError } from './request-error.ts';

export interface AdmissionRules {
  /** The address on which the server listens. */
  readonly host: string;
  /** The required token; undefined serves anyone who can reach the port. */
  readonly token: string | undefined;
  /** Origins of web pages that may send requests. */
  readonly origins: readonly string[];
}

/** True for the names of this machine; a web page that points its own name to this address is refused. */
const isOwnHost = (header: string | undefined, host: string): boolean => {
  const name = (header ?? '').replace(/:\d+$/, '').toLowerCase();
  return ['localhost', '127.0.0.1', '[::1]', host.toLowerCase()].includes(name);
};

/**
 * Admits a request.
 * @returns whether it is the preflight of a permitted page
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
      // Client libraries of the API send their own headers.
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
