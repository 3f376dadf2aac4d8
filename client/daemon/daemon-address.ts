/** The address of the daemon: a folder on this machine, or the URL in the settings with its token and certificate. */
import type { ExtensionContext } from 'vscode';
import { MAX_STATE_BYTES, readRegularText } from '../../trainer/files/regular-file.ts';
import { messageOf } from '../../trainer/protocol/error-facts.ts';
import type { DaemonAddress } from '../../trainer/rpc/connection/connect.ts';
import { DaemonError } from '../../trainer/rpc/daemon-error.ts';
import type { ClientSettings } from '../client-settings.ts';

/** The key of the secret that holds the token of a daemon. */
export const daemonTokenKey = (url: string): string => `rowtune.daemonToken:${url}`;

/** @throws DaemonError if the token or the certificate of a remote daemon is missing */
export async function daemonAddress(
  { secrets }: Pick<ExtensionContext, 'secrets'>,
  { daemonUrl: url, daemonCertificate: file }: ClientSettings,
  stateDir: string,
): Promise<DaemonAddress> {
  if (url === '') return { stateDir };
  const token = await secrets.get(daemonTokenKey(url));
  if (token !== undefined) return { url, token, ca: file === '' ? undefined : await readCertificate(file) };
  throw new DaemonError('daemon-token', `no token is stored for the daemon at ${url}`);
}

async function readCertificate(file: string): Promise<string> {
  try {
    return await readRegularText(file, MAX_STATE_BYTES);
  } catch (error) {
    const why = messageOf(error);
    throw new DaemonError('daemon-untrusted', `the certificate of the daemon cannot be read: ${why}`, {
      hint: 'Set rowtune.daemon.certificate',
    });
  }
}
