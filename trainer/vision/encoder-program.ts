/** The program of an encoder of images, with one signature for each shape of views. */
import { Graph } from '../graph/graph.ts';
import { assemble, type Program, type Traced } from '../graph/program.ts';
import type { Model } from '../model/model-spec.ts';
import { Tracer } from '../model/tracer.ts';
import type { VisionEncoder } from '../model/vision/vision-encoder.ts';
import type { SeeingModel } from './image-reading.ts';

/** The encoder as a model with weights. */
export const encoderModel = ({ model, vision }: SeeingModel): Model => ({
  ...vision,
  family: model.family,
  blocks: 0,
  hiddenSize: model.hiddenSize,
});

export const viewSignature = (shape: number): string => `view/${shape}`;

/** Signature `view/SHAPE`: the feeds of the encoder for a view of this shape → vectors [sets, vectors, hiddenSize]. */
export function encoderProgram(vision: VisionEncoder, shapes: readonly number[]): Program {
  const traced = (shape: number): Traced => {
    const graph = new Graph();
    return { graph, outputs: { vectors: graph.cast(vision.trace(new Tracer({ graph }), shape), 'float32') }, effects: [] };
  };
  return assemble(Object.fromEntries(shapes.map(shape => [viewSignature(shape), traced(shape)])));
}
