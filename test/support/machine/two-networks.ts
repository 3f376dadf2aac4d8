/**
 * Two network namespaces with one address each, joined by a cable. Processes in them reach the other only through it. Needs root and
 * iproute2.
 */
import { execFileSync } from 'node:child_process';

export interface TwoNetworks {
  readonly addresses: readonly [string, string];
  /** Arguments of `ip` before a command that run it in the first or second namespace. */
  readonly enter: readonly [readonly string[], readonly string[]];
  /** Connects or disconnects the cable of the second network. */
  plug(isIn: boolean): void;
  remove(): void;
}

const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: 'pipe' });

/** @returns the reason as text if networks cannot be created here */
export function makeTwoNetworks(): TwoNetworks | string {
  const names = [`rowtune-${process.pid}-a`, `rowtune-${process.pid}-b`] as const;
  const cables = [`rt${process.pid % 1e6}a`, `rt${process.pid % 1e6}b`] as const;
  const addresses = ['10.213.77.1', '10.213.77.2'] as const;
  const remove = (): void => {
    for (const name of names)
      try {
        ip('netns', 'del', name);
      } catch {
        // It was not created.
      }
  };
  try {
    for (const name of names) ip('netns', 'add', name);
    ip('link', 'add', cables[0], 'type', 'veth', 'peer', 'name', cables[1]);
    for (const [i, name] of names.entries()) {
      const cable = String(cables[i]);
      ip('link', 'set', cable, 'netns', name);
      ip('-n', name, 'addr', 'add', `${addresses[i]}/24`, 'dev', cable);
      for (const device of ['lo', cable]) ip('-n', name, 'link', 'set', device, 'up');
    }
  } catch (error) {
    remove();
    return `network namespaces can't be made here: ${error instanceof Error ? error.message.split('\n').at(-1) : String(error)}`;
  }
  const entering = (name: string): readonly string[] => ['netns', 'exec', name];
  const plug = (isIn: boolean): void => ip('-n', names[1], 'link', 'set', cables[1], isIn ? 'up' : 'down');
  return { addresses, enter: [entering(names[0]), entering(names[1])], plug, remove };
}
