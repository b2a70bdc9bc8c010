/**
 * The schema registry that the configuration names. Its client is loaded only where one is named: it brings parsers of three
 * schema languages. Nothing is asked here: a registry that is down delays no start.
 */
import type { Config } from '../../core/config/config.ts'
import type { SchemaRegistry } from '../../core/ports/schema-registry.ts'

/** Null where none is named. */
export async function openRegistry({ schemaRegistry }: Config): Promise<SchemaRegistry | null> {
  if (schemaRegistry === null) return null
  const { openSchemaRegistry } = await import('../../adapters/schema-registry/registry-client.ts')
  return openSchemaRegistry(schemaRegistry)
}
