import { isAbsolute, join, resolve } from 'node:path'
import { PosternError } from '../base/problem.ts'
import { dropFolder } from '../io/drop-folder.ts'
import { ConfigurationError } from '../io/files.ts'
import { LmdbSpool } from '../io/lmdb-spool.ts'
import { MemorySpool } from '../io/memory-spool.ts'
import type { MtaConfig } from '../mta/config.ts'
import type { Spool } from '../spool/spool.ts'

/** The folder of a server's spool where its configuration names none, beside it. */
export const SPOOL_FOLDER = 'spool'

/** Where the messages of a configuration wait, `folder` being its own; `undefined` for those in memory. */
export function spoolFolder({ spool }: MtaConfig, folder: string): string | undefined {
  if (spool?.kind === 'memory') return undefined
  const named = spool?.folder ?? SPOOL_FOLDER
  return isAbsolute(named) ? named : join(folder, named)
}

/** Where mail is left for it while it does not run; nowhere for one whose messages wait in memory. */
export function dropFolderOf(config: MtaConfig, folder: string): string | undefined {
  const spool = spoolFolder(config, folder)
  if (spool === undefined || !config.drop) return spool && dropFolder(spool)
  return resolve(folder, config.drop.folder)
}

/** Opens it. A `ConfigurationError` points at the line that names a spool which cannot be had. */
export function openSpool(config: MtaConfig, folder: string, note: (what: string) => void): Spool {
  const path = spoolFolder(config, folder)
  if (path === undefined) return new MemorySpool()
  const { spool } = config
  try {
    const limit = spool?.kind === 'disk' ? spool.size : undefined
    return LmdbSpool.open(path, { note, ...(limit !== undefined && { limit }) })
  } catch (cause) {
    if (!(cause instanceof PosternError) || spool?.kind !== 'disk') throw cause
    throw new ConfigurationError([{ severity: 'error', message: cause.message, at: spool.at }])
  }
}
