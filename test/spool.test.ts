import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { LmdbSpool } from '../src/io/lmdb-spool.ts'
import { MemorySpool } from '../src/io/memory-spool.ts'
import { spoolContract } from './contracts/spool.ts'

const root = mkdtempSync(join(tmpdir(), 'spool-'))
const opened: LmdbSpool[] = []
after(async () => {
  for (const spool of opened) await spool.close()
  rmSync(root, { recursive: true, force: true })
})

let folders = 0

function lmdb(limit: number, inTree: number, ahead?: number): LmdbSpool {
  const spool = LmdbSpool.open(join(root, String(++folders)), { limit, inTree, ...(ahead !== undefined && { ahead }) })
  opened.push(spool)
  return spool
}

spoolContract('memory', limit => new MemorySpool({ limit }))
spoolContract('lmdb, bodies in the tree', limit => lmdb(limit, 1_000_000))
spoolContract('lmdb, bodies as files', limit => lmdb(limit, 0))
spoolContract('lmdb, a journal that holds next to nothing', limit => lmdb(limit, 1_000_000, 128 * 1024))
