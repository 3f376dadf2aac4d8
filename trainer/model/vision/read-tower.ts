/** Reads `vision_config`, the record that describes an encoder of images. */
import { isRecord } from '../../narrow.ts';
import type { ConfigJson } from '../config-json.ts';
import { type ConfigReading, type KeyTable, readRecord } from '../config-keys.ts';

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
