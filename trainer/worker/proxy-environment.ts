/**
 * The proxy settings of the environment for a worker's downloads: Node's fetch ignores them unless a variable is set when it starts.
 */

/** The variables that Node then reads. NO_PROXY lists hosts that need no proxy. */
const PROXY_VARIABLES = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY'] as const;

/**
 * Returns variables for starting a worker, which its own environment overrides, so that NODE_USE_ENV_PROXY=0 stays 0. Effective in Node
 * 22.21 and 24 and later. Empty if an address is of a kind that Node rejects (socks5://…): Node would exit at startup, even if nothing is
 * downloaded.
 */
export function proxyEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const named = PROXY_VARIABLES.flatMap(name => env[name] || []);
  return named.length > 0 && named.every(isHttpAddress) ? { NODE_USE_ENV_PROXY: '1' } : {};
}

const isHttpAddress = (text: string): boolean => /^https?:\/\//i.test(text) && URL.canParse(text);
