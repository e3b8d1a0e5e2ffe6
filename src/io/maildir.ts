import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { flushFolder } from './folders.ts'

let delivered = 0

/** The Maildir of a mailbox below the folder of all of them: a name of its own for each, whatever octets it has. */
export function maildirOf(folder: string, mailbox: string): string {
  return join(folder, encodeURIComponent(mailbox).replaceAll('%40', '@'))
}

/**
 * Delivers into a Maildir: written under `tmp`, flushed to the disk, and only then moved to `new`, so that nobody ever
 * reads half a message. Line ends stay CRLF, as they came: what arrived can be compared octet by octet.
 */
export async function deliver(maildir: string, content: AsyncIterable<Uint8Array>): Promise<string> {
  const folders = ['tmp', 'new', 'cur'].map(name => join(maildir, name))
  for (const folder of folders) await made(folder)
  // Unique by time, process and count, as Maildir wants it; "/" and ":" would mean something there.
  const host = hostname().replace(/[/:]/g, '_')
  const name = `${Math.floor(Date.now() / 1000)}.M${Date.now() % 1000}P${process.pid}Q${++delivered}.${host}`
  const path = join(maildir, 'tmp', name)
  const file = await open(path, 'wx', 0o600)
  try {
    for await (const piece of content) await file.appendFile(piece)
    await file.sync()
  } catch (cause) {
    await file.close()
    await rm(path, { force: true })
    throw cause
  }
  await file.close()
  const final = join(maildir, 'new', name)
  await rename(path, final).catch(async cause => {
    await rm(path, { force: true })
    throw cause
  })
  // The name is only safe once its directory is.
  await flushFolder(join(maildir, 'new'))
  return final
}

/** Makes a folder and those above it. Their names are safe as well: a flush of what is in them says nothing of these. */
async function made(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let at = folder; at.length >= first.length; at = dirname(at)) await flushFolder(dirname(at))
}

/** Every message that lies there, oldest first. */
export async function readMaildir(maildir: string): Promise<readonly Buffer[]> {
  const names = await readdir(join(maildir, 'new')).catch(() => [])
  const order = (name: string) => Number(/Q(\d+)\./.exec(name)?.[1] ?? 0)
  const sorted = names.sort((a, b) => order(a) - order(b))
  return Promise.all(sorted.map(name => readFile(join(maildir, 'new', name))))
}
