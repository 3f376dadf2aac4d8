/** The portable engine: the graph interpreted on tfjs. What a machine without TensorFlow gets, and the reference that others are tested against. */
import { version_core } from '@tensorflow/tfjs-core';
import type { Program } from '../../graph/program.ts';
import { type Engine, type EngineDescription, requireOneDevice, type Session } from '../engine.ts';
import { type BackendName, openBackend } from './backend.ts';
import { PortableSession } from './session.ts';

export interface PortableOptions {
  readonly backend?: BackendName | 'auto';
  /** The folder in which WebGPU may be installed, if it is not among our own packages. */
  readonly cacheDir?: string;
  /** Receives the reason, one line each, why a better backend was passed over. */
  readonly log?: (line: string) => void;
}

/**
 * Opens the engine on one backend of tfjs.
 * @throws EngineError when the backend asked for by name cannot be opened; the message says how to fix it
 */
export async function openPortable({ backend = 'auto', cacheDir, log = () => undefined }: PortableOptions = {}): Promise<Engine> {
  const opened = await openBackend(backend, { cacheDir, log });
  const description: EngineDescription = {
    name: 'portable',
    summary: `tfjs ${version_core}, ${opened.summary}`,
    device: opened.device,
    fuses: false,
    narrowConvolutions: false,
    versions: { tfjs: version_core, node: process.versions.node },
  };
  log(`portable engine: ${description.summary}`);
  return {
    description,
    compile: async (program: Program): Promise<Session> => {
      requireOneDevice(program);
      return new PortableSession(program, opened);
    },
  };
}
