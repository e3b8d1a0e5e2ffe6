import { readdirSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { LmdbSpool, sayLost } from './lmdb-spool.ts'
import { fileBody } from './spool-body.ts'
import { readStored } from './stored-record.ts'
import { Tree } from './tree.ts'

/** What is wrong with one message of a spool. */
export interface Damage {
  readonly id: string
  readonly wrong: string
  /** Where it was put, when it was taken out. */
  readonly savedTo?: string
}

export interface CheckReport {
  readonly messages: number
  readonly octets: number
  readonly damaged: readonly Damage[]
}

/**
 * Reads every record and every body of a spool, and compares what is read with what was written. With `repair`, on a spool
 * that nobody uses, what cannot be sent any more is put into `damaged/` as it is and taken out of the queue; nothing is
 * thrown away.
 */
export async function checkSpool(
  folder: string,
  { repair = false }: { readonly repair?: boolean } = {},
): Promise<CheckReport> {
  // Opened as its owner once, so that nobody else works on it while it is repaired, and what a crash left is swept up.
  const lost = repair ? await putInOrder(folder) : undefined
  const tree = new Tree(join(folder, 'queue.mdb'), { readOnly: !repair })
  const [damaged, octets]: [Damage[], number[]] = [[], []]
  try {
    const journal = sayLost(tree.recover()) ?? lost
    if (journal !== undefined) damaged.push({ id: 'journal', wrong: `it ${journal}` })
    const ids = tree.ids('entries')
    for (const id of ids) {
      const wrong = await whatIsWrong(tree, folder, id, octets)
      if (wrong === undefined) continue
      damaged.push({ id, wrong, ...(repair && { savedTo: await takeOut(tree, folder, id) }) })
    }
    return { messages: ids.length, octets: octets.reduce((sum, each) => sum + each, 0), damaged }
  } finally {
    await tree.close()
  }
}

/** What is lost already, in words. */
async function putInOrder(folder: string): Promise<string | undefined> {
  const spool = LmdbSpool.open(folder)
  await spool.read()
  await spool.close()
  return spool.lost
}

async function whatIsWrong(tree: Tree, folder: string, id: string, octets: number[]): Promise<string | undefined> {
  const record = readStored(tree.entry(id))
  if ('wrong' in record) return `its record: ${record.wrong}`
  const { entry, body } = record
  if (entry.id !== id) return `its record is that of ${entry.id}`
  let [sum, size] = [0, 0]
  const content = tree.body(id)
  if (body.place === 'tree' && !content) return 'its content is missing'
  try {
    for await (const piece of body.place === 'tree'
      ? [content ?? Buffer.alloc(0)]
      : fileBody(join(folder, 'bodies', id))) {
      sum = crc32(piece, sum)
      size += piece.length
    }
  } catch (cause) {
    return `its content cannot be read: ${(cause as Error).message}`
  }
  octets.push(size)
  if (size !== entry.size) return `its content has ${size} octets, and ${entry.size} came`
  return sum === body.sum ? undefined : 'its content is not what came'
}

async function takeOut(tree: Tree, folder: string, id: string): Promise<string> {
  const damaged = join(folder, 'damaged')
  await mkdir(damaged, { recursive: true, mode: 0o700 })
  const name = encodeURIComponent(id)
  await writeFile(join(damaged, `${name}.record`), tree.entry(id) ?? '', { flush: true })
  const content = tree.body(id)
  if (content) await writeFile(join(damaged, `${name}.body`), content, { flush: true })
  else if (readdirSync(join(folder, 'bodies')).includes(id)) {
    await writeFile(join(damaged, `${name}.body`), fileBody(join(folder, 'bodies', id)), { flush: true })
  }
  await tree.write(({ entries, bodies }) => {
    entries.remove(id)
    bodies.remove(id)
  })
  return join(damaged, `${name}.record`)
}
