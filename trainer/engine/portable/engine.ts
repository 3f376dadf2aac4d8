/**
 * The portable engine: interprets the graph on tfjs. It runs on machines without TensorFlow, and is the reference that other engines are
 * tested against.
 */
import { version_core } from '@tensorflow/tfjs-core';
import type { Program } from '../../graph/program.ts';
import { type Engine, type EngineDescription, requireOneDevice, type Session } from '../engine.ts';
import { type BackendName, openBackend } from './backend.ts';
import { PortableSession } from './session.ts';

export interface PortableOptions {
  readonly backend?: BackendName | 'auto';
  /** Folder in which WebGPU may be installed, if it is not among our own packages. */
  readonly cacheDir?: string;
  /** Receives the reasons why better backends were skipped, one per line. */
  readonly log?: (line: string) => void;
}

/**
 * Opens the engine on a tfjs backend.
 * @throws EngineError if the backend requested by name cannot be opened; the message says how to fix it
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
