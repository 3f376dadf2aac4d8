/**
 * The proxy settings of the environment for a worker's downloads: Node's fetch ignores them unless a variable is set at
 * its start.
 */

/** The variables that Node then reads. NO_PROXY lists hosts without a proxy. */
const PROXY_VARIABLES = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY'] as const;

/**
 * Variables for starting a worker, overridden by its own environment, so that NODE_USE_ENV_PROXY=0 stays 0. Effective
 * from Node 22.21 and 24. Empty if an address is of a kind that Node rejects (socks5://…): Node would exit at its
 * start, even if nothing is downloaded.
 */
export function proxyEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const named = PROXY_VARIABLES.flatMap(name => env[name] || []);
  return named.length > 0 && named.every(isHttpAddress) ? { NODE_USE_ENV_PROXY: '1' } : {};
}

const isHttpAddress = (text: string): boolean => /^https?:\/\//i.test(text) && URL.canParse(text);
