/** Puts messages into a spool as fast as it goes, and says each id once it is kept; somebody will kill it. */
import { LmdbSpool } from '../src/io/lmdb-spool.ts'
import { bodyOf, entryOf, SIZES } from './spool-messages.ts'

const [folder = '', prefix = ''] = process.argv.slice(2)
const spool = LmdbSpool.open(folder, { inTree: 20_000 })

async function writer(name: string): Promise<void> {
  for (let i = 0; ; i++) {
    const id = `${prefix}-${name}-${i}`
    const kept = await spool.put(entryOf(id), bodyOf(id, SIZES[i % SIZES.length] ?? 0))
    if (!kept.kept) throw new Error(kept.words)
    process.stdout.write(`${id}\n`)
    const claim = i % 5 === 4 ? await spool.take(id, 0, 1) : undefined
    if (claim) {
      await spool.remove(claim)
      process.stdout.write(`${id} removed\n`)
    }
  }
}

await Promise.all(['a', 'b', 'c', 'd'].map(writer))
