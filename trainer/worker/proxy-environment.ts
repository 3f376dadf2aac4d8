/** The proxy that the environment names, for a worker's downloads: Node's fetch takes no notice of it unless it is told to when it starts. */

/** What Node reads then. NO_PROXY names the hosts that are reached without. */
const PROXY_VARIABLES = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY'] as const;

/**
 * To start a worker with, below its own environment, so that NODE_USE_ENV_PROXY=0 stays 0. It takes effect from Node 22.21 and 24 on. Nothing
 * where an address is none that Node takes (socks5://…): Node would end at its start, also where nothing is to be downloaded.
 */
export function proxyEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const named = PROXY_VARIABLES.flatMap(name => env[name] || []);
  return named.length > 0 && named.every(isHttpAddress) ? { NODE_USE_ENV_PROXY: '1' } : {};
}

const isHttpAddress = (text: string): boolean => /^https?:\/\//i.test(text) && URL.canParse(text);
