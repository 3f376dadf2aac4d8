/** Finds consecutive free ports below those that the system uses for outgoing connections. */
import net from 'node:net';

const [FIRST, LAST] = [20_000, 32_000];

/** @returns the first port */
export async function neighboringPorts(count: number): Promise<number> {
  // Tests in several processes search at the same time, so they start at different ports.
  for (let port = FIRST + ((process.pid * 16) % (LAST - FIRST - 1000)); port < LAST; port += count) {
    const ports = Array.from({ length: count }, (_, i) => port + i);
    if ((await Promise.all(ports.map(isFree))).every(free => free)) return port;
  }
  throw new Error(`there are no ${count} free ports in a row`);
}

const isFree = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
