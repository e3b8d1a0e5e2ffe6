/** Puts messages into a spool as fast as it goes, and says each id once it is kept; somebody will kill it. */
import { LmdbSpool } from '../src/io/lmdb-spool.ts'
import { bodyOf, entryOf, SIZES } from './spool-messages.ts'

const [folder = '', prefix = '', ahead] = process.argv.slice(2)
const spool = LmdbSpool.open(folder, { inTree: 20_000, ...(ahead !== undefined && { ahead: Number(ahead) }) })

/** What is done with every so manyth message. */
const WORK = [undefined, 'updated', undefined, undefined, 'removed'] as const

async function writer(name: string): Promise<void> {
  for (let i = 0; ; i++) {
    const id = `${prefix}-${name}-${i}`
    const kept = await spool.put(entryOf(id), bodyOf(id, SIZES[i % SIZES.length] ?? 0))
    if (!kept.kept) throw new Error(kept.words)
    process.stdout.write(`${id}\n`)
    const work = WORK[i % 5]
    const claim = work ? await spool.take(id, 0, 1) : undefined
    if (!work || !claim) continue
    const next = { ...claim.entry, revision: 1 }
    await (work === 'updated' ? spool.update(claim, next) : spool.remove(claim, { last: next }))
    process.stdout.write(`${id} ${work}\n`)
  }
}

await Promise.all(['a', 'b', 'c', 'd'].map(writer))
