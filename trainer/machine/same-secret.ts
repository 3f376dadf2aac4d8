/** Secrets of requests: reading and comparing them. */
import { createHash, timingSafeEqual } from 'node:crypto';

/** Compares in constant time, so that timing does not reveal where two secrets differ. */
export function isSameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** Returns the token of an Authorization header. */
export const bearerToken = (authorization: string | undefined): string | undefined => /^Bearer (\S+)$/i.exec(authorization ?? '')?.[1];
