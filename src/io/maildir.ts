import { type FileHandle, link, lstat, mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { flushFolder } from './folders.ts'

let delivered = 0

/** The Maildir of a mailbox below the folder of all of them: a name of its own for each, whatever octets it has. */
export function maildirOf(folder: string, mailbox: string): string {
  return join(folder, encodeURIComponent(mailbox).replaceAll('%40', '@'))
}

/**
 * Delivers into a Maildir: written under `tmp`, flushed to the disk, and only then given its name in `new`, so that nobody
 * ever reads half a message, and none takes the place of another. Line ends stay CRLF, as they came: what arrived can be
 * compared octet by octet.
 */
export async function deliver(maildir: string, content: AsyncIterable<Uint8Array>): Promise<string> {
  for (const name of ['tmp', 'new', 'cur']) await made(join(maildir, name))
  const { file, path } = await unlessTaken(async name => {
    const path = join(maildir, 'tmp', name)
    return { path, file: await open(path, 'wx', 0o600) }
  })
  let left: string | undefined = path
  try {
    await written(file, content)
    const final = await unlessTaken(async name => {
      const final = join(maildir, 'new', name)
      left = await named(path, final)
      return final
    }, basename(path))
    // The name is only safe once its directory is.
    await flushFolder(join(maildir, 'new'))
    return final
  } finally {
    // Named or not, what is in `tmp` is nobody's any more; readers of Maildirs clear up what a crash leaves there.
    if (left !== undefined) await unlink(left).catch(() => {})
  }
}

async function written(file: FileHandle, content: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const piece of content) await file.appendFile(piece)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Unique by time, process and count, as Maildir wants it; "/" and ":" would mean something there. */
function uniqueName(): string {
  const at = Date.now()
  const host = hostname().replace(/[/:]/g, '_')
  return `${Math.floor(at / 1000)}.M${at % 1000}P${process.pid}Q${++delivered}.${host}`
}

/** Names tried before it is given up: processes of two containers may have the same number, and the same name of a host. */
const MOST_NAMES = 10

async function unlessTaken<T>(take: (name: string) => Promise<T>, name: string = uniqueName()): Promise<T> {
  for (let left = MOST_NAMES; ; left--, name = uniqueName()) {
    try {
      return await take(name)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST' || left === 1) throw cause
    }
  }
}

/** Gives the file this name, if nobody has it; `rename` would take it from them. What of it is left under its old name. */
async function named(path: string, final: string): Promise<string | undefined> {
  try {
    await link(path, final)
    return path
  } catch (cause) {
    if (!NO_LINKS.has((cause as NodeJS.ErrnoException).code ?? '')) throw cause
    await renamed(path, final)
    return undefined
  }
}

/**
 * The same on a file system without links. There is no rename that spares what is there; but whoever wants a name in `new`
 * has the same in `tmp` first, which only one can have, and it goes in the moment that the other comes.
 */
async function renamed(path: string, final: string): Promise<void> {
  const held = join(dirname(path), basename(final))
  if (held !== path) await (await open(held, 'wx', 0o600)).close()
  try {
    if (await isThere(final)) throw Object.assign(new Error(`${final} is there`), { code: 'EEXIST' })
    await rename(path, final)
  } finally {
    if (held !== path) await unlink(held).catch(() => {})
  }
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'ENOENT') throw cause
      return false
    },
  )
}

const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'])

const NOT_OURS: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EINVAL', 'ENOTSUP', 'EROFS'])

/** Folders whose names are known to be on the disk; where there are more, all are flushed once again. */
const MOST_FLUSHED = 10_000
const flushed = new Set<string>()

/**
 * Makes a folder and those above it. Their names are safe as well: a flush of what is in them says nothing of these. What is
 * there already may be from a try that came to its end before they were.
 */
async function made(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 })
  for (let at = folder; ; at = dirname(at)) {
    const isNew = first !== undefined && at.length >= first.length
    if (flushed.has(at) && !isNew) return
    const above = dirname(at)
    if (above === at) return
    await flushFolder(above).catch(cause => {
      // Above ours there may be folders that we may not look into, and file systems that know of no flush.
      if (isNew || !NOT_OURS.has(cause.code)) throw cause
    })
    if (flushed.size >= MOST_FLUSHED) flushed.clear()
    flushed.add(at)
  }
}

/** Every message that lies there, oldest first. */
export async function readMaildir(maildir: string): Promise<readonly Buffer[]> {
  const names = await readdir(join(maildir, 'new')).catch(() => [])
  const order = (name: string) => Number(/Q(\d+)\./.exec(name)?.[1] ?? 0)
  const sorted = names.sort((a, b) => order(a) - order(b))
  return Promise.all(sorted.map(name => readFile(join(maildir, 'new', name))))
}
