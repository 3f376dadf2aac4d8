/** Reads the files that describe an encoder of images: config.json, its record `vision_config`, and the processor's file. */
import { isRecord } from '../../narrow.ts';
import type { ConfigJson } from '../config-json.ts';
import { type ConfigReading, type ConfigValues, type KeyTable, readConfig, readRecord, refuse } from '../config-keys.ts';
import type { ConfigProblem } from '../model-spec.ts';
import { PROCESSOR_FILE } from './processor-keys.ts';
import type { VisionFiles } from './vision-encoder.ts';

/** The key of the record. */
export const TOWER = 'vision_config';

/**
 * @param usual the record of a config without one
 * @throws ModelConfigError with every key of the record that is missing or out of bounds
 */
export const readTower = <Table extends KeyTable>(
  table: Table,
  architecture: string,
  config: ConfigJson,
  usual: ConfigJson = {},
): ConfigReading<Table> => readRecord(TOWER, table, architecture, isRecord(config[TOWER]) ? config[TOWER] : usual);

interface VisionTables<Whole, Tower, Processor> {
  readonly architecture: string;
  readonly whole: Whole;
  readonly tower: Tower;
  /** The record of a config without one. */
  readonly usual?: ConfigJson;
  readonly processor: Processor;
}

interface VisionValues<Whole, Tower, Processor> {
  readonly whole: ConfigValues<Whole>;
  readonly eyes: ConfigValues<Tower>;
  readonly seen: ConfigValues<Processor>;
  /**
   * Refuses the files if any value is unsupported, or if further problems are given.
   * @param inConfig those of config.json
   * @param inFile those of the processor's file
   * @throws ModelConfigError with all problems of one file
   */
  readonly refuseWith: (inConfig: readonly ConfigProblem[], inFile: readonly ConfigProblem[]) => void;
}

/** @throws ModelConfigError with every key that is missing or out of bounds in one of the files */
export function readVisionFiles<Whole extends KeyTable, Tower extends KeyTable, Processor extends KeyTable>(
  { architecture, whole: wholeKeys, tower, usual, processor: processorKeys }: VisionTables<Whole, Tower, Processor>,
  { config, processor }: VisionFiles,
): VisionValues<Whole, Tower, Processor> {
  const { values: whole, problems } = readConfig(wholeKeys, architecture, config);
  const { values: eyes, problems: ofTower } = readTower(tower, architecture, config, usual);
  const { values: seen, problems: ofFile } = readConfig(processorKeys, architecture, processor, PROCESSOR_FILE);
  return {
    ...{ whole, eyes, seen },
    refuseWith: (inConfig, inFile) => {
      refuse([...problems, ...ofTower, ...inConfig], architecture);
      refuse([...ofFile, ...inFile], architecture, PROCESSOR_FILE);
    },
  };
}
