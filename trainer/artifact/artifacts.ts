/** How each export format of the catalog is written and verified. Written by `npm run registries` from the folders of this room. */

import type { ExportFormat } from '../catalog/artifacts.ts';
import { artifact as adapter } from './adapter/artifact.ts';
import type { Artifact } from './artifact.ts';
import { artifact as gguf } from './gguf/artifact.ts';
import { artifact as ggufAdapter } from './gguf-adapter/artifact.ts';
import { artifact as merged } from './merged/artifact.ts';
import { artifact as onnx } from './onnx/artifact.ts';
import { artifact as peft } from './peft/artifact.ts';

export const artifacts: Readonly<Record<ExportFormat, Artifact>> = {
  adapter,
  gguf,
  'gguf-adapter': ggufAdapter,
  merged,
  onnx,
  peft,
};
