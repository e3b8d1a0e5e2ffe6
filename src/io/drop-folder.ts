/**
 * Where a program of this machine leaves a message while no server runs, and where the server finds it: a file for each, with
 * the id of the message for its name. Its first line is the record of the message, what follows is the content.
 */
import { constants, lstatSync, mkdirSync } from 'node:fs'
import { chmod, type FileHandle, lstat, mkdir, open, opendir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import type { SpoolEntry } from '../spool/entry.ts'
import { readRecord, type SpoolRecord, writeRecord } from '../spool/record.ts'
import { BLOCK } from './blocks.ts'

/** Octets of the line before the content. */
export const MAX_RECORD: number = 1024 ** 2
/** Files looked at in one go. */
export const MAX_LOOKED_AT = 1_000
/** What was begun so long ago and has not got its name yet never will. */
const ABANDONED: Duration = 86_400_000

/** What was no message is kept for a person to look at, so many files and octets of it; the oldest go where there is more. */
export const MOST_ASIDE = 1_000
export const MAX_ASIDE: number = 256 * 1024 ** 2

/**
 * Everybody may put a file in and nobody may list what there is; only its owner and the server may take one out (the sticky
 * bit), and the server may read it, for it gets the folder's group (the set-group-id bit).
 */
const FOLDER_MODE = 0o3733
/** Of these, what a folder must have that was made for us, for everybody or for a group; and what it must not. */
const [MUST_HAVE, MUST_NOT_HAVE] = [0o3000, 0o044]
/** Its owner, and by the folder's group the server. */
const FILE_MODE = 0o640
/** As `newId` makes them; nothing else becomes a key, or the name of a file. */
const ID = /^[0-9A-HJKMNP-TV-Z]{16}$/
const ASIDE = 'aside'
/** Before the name of a file that is not whole yet. */
const BEGUN = '.'

/** The drop folder of a spool, beside it: in it nobody but the server may look. */
export function dropFolder(spool: string): string {
  return `${spool}.drop`
}

/** Makes it; what is in it stays. For whoever the server will run as. */
export function makeDropFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
}

/**
 * Leaves a message there: when this resolves it survives a loss of power, and a server that starts takes it up once. A
 * `PosternError` says why that cannot be.
 */
export async function leave(folder: string, entry: SpoolEntry, content: Uint8Array): Promise<void> {
  const begun = join(folder, `${BEGUN}${entry.id}`)
  let file: FileHandle | undefined
  try {
    if (!(await lstat(folder)).isDirectory()) throw new Error('it is no folder')
    file = await open(begun, 'wx', FILE_MODE)
    // Whatever the caller's umask is.
    await file.chmod(FILE_MODE)
    const record = { entry: { ...entry, size: content.length }, body: { place: 'file', sum: crc32(content) } } as const
    await file.appendFile(`${writeRecord(record)}\n`)
    await file.appendFile(content)
    await file.sync()
    await rename(begun, join(folder, entry.id))
    // The name, too. Who may not list a folder may not open it, to flush it; with the file a journal keeps its new name.
    await file.sync()
    await syncIfAllowed(folder)
  } catch (cause) {
    // Whoever is told that it was not left may leave it again.
    for (const path of file ? [begun, join(folder, entry.id)] : []) await rm(path, { force: true }).catch(() => {})
    throw new PosternError('POSTERN_DROP', whyNot(folder, cause as NodeJS.ErrnoException), {
      side: 'us',
      retry: 'later',
      cause,
    })
  } finally {
    await file?.close().catch(() => {})
  }
}

function whyNot(folder: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return `nothing can be left for it: there is no ${folder} (the server makes it when it starts)`
  if (code === 'EACCES') return `nothing can be left for it: ${folder} is closed to this user`
  if (code === 'ENOSPC' || code === 'EDQUOT') return `nothing can be left for it: there is no space in ${folder}`
  return `nothing can be left for it in ${folder}: ${message}`
}

async function syncIfAllowed(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined)
  await handle?.sync().finally(() => handle.close())
}

/** A message that was left. */
export interface Dropped {
  readonly id: string
  /** Whose file it is: who left it. */
  readonly uid: number
  readonly record: SpoolRecord
  /** To be read once; then the file is closed. */
  readonly content: AsyncIterable<Uint8Array>
  /** Was what has been read all of what was written? */
  readonly isWhole: () => boolean
}

/** What was put aside: how large it is. */
interface Aside {
  readonly name: string
  readonly octets: number
}

/** The server's side. */
export class DropFolder {
  readonly folder: string
  /** The oldest first. */
  #aside: Aside[] = []

  constructor(folder: string) {
    this.folder = folder
  }

  /** Opens it to everybody, unless it was made for us and is open to whom it shall be. Fails where it is not ours. */
  async open(): Promise<void> {
    makeDropFolder(this.folder)
    const aside = join(this.folder, ASIDE)
    // While it is closed still: nobody else can have put one in its place.
    await mkdir(aside, { mode: 0o700 }).catch(ignoreThere)
    for (const each of [this.folder, aside]) {
      const found = lstatSync(each)
      if (!found.isDirectory() || found.uid !== process.geteuid?.()) throw new Error(`${each} is no folder of ours`)
    }
    const { mode, gid } = lstatSync(this.folder)
    // A service may be kept from setting such bits, even where they are set (systemd's RestrictSUIDSGID).
    if ((mode & MUST_HAVE) !== MUST_HAVE || (mode & MUST_NOT_HAVE) !== 0) await chmod(this.folder, FOLDER_MODE)
    if (!isInGroup(gid)) throw new Error('this server is not in its group, and could not read what is left there')
    this.#aside = await lyingIn(aside)
  }

  /** Names in it, the oldest first, so many at most. What was never finished is swept away. */
  async names(now: number): Promise<readonly string[]> {
    const names: string[] = []
    for await (const entry of await opendir(this.folder)) {
      const { name } = entry
      // A folder, a pipe or a link is nobody's message, and may not even be ours to move.
      if (!entry.isFile()) continue
      if (!name.startsWith(BEGUN)) names.push(name)
      else if (now - ((await lstat(join(this.folder, name)).catch(() => undefined))?.mtimeMs ?? now) > ABANDONED)
        await rm(join(this.folder, name), { recursive: true, force: true }).catch(() => {})
      if (names.length >= MAX_LOOKED_AT) break
    }
    return names.sort()
  }

  /** `most`: octets of a content. Total: what it is no message for, in words; nothing where it is gone. */
  async read(name: string, most: number): Promise<Dropped | { readonly wrong: string } | undefined> {
    if (!ID.test(name)) return { wrong: 'its name is no id' }
    let file: FileHandle
    try {
      // Not through a link, and not one that waits for somebody to write.
      file = await open(join(this.folder, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException
      return code === 'ENOENT' ? undefined : { wrong: message }
    }
    try {
      const found = await this.#begin(file, name, most)
      if ('wrong' in found) await file.close()
      return found
    } catch (cause) {
      await file.close()
      throw cause
    }
  }

  async #begin(file: FileHandle, id: string, most: number): Promise<Dropped | { readonly wrong: string }> {
    const found = await file.stat()
    const { uid, size, nlink } = found
    if (!found.isFile()) return { wrong: 'it is no file' }
    // A link to somebody else's file would be taken for theirs.
    if (nlink !== 1) return { wrong: 'it has another name, too' }
    if (size > MAX_RECORD + most) return { wrong: `it is longer than a message may be, ${most} octets` }
    const head = Buffer.alloc(Math.min(size, MAX_RECORD))
    const { bytesRead } = await file.read(head, 0, head.length, 0)
    const end = head.subarray(0, bytesRead).indexOf(0x0a)
    if (end < 0) return { wrong: 'it has no record' }
    const record = readRecord(head.toString('utf8', 0, end))
    if ('wrong' in record) return { wrong: `its record: ${record.wrong}` }
    if (record.entry.id !== id) return { wrong: `its record is that of ${record.entry.id}` }
    if (record.entry.size > most) return { wrong: `it is longer than a message may be, ${most} octets` }
    const { entry, body } = record
    let [octets, sum] = [0, 0]
    async function* content(): AsyncIterable<Uint8Array> {
      for await (const piece of contentOf(file, end + 1, most)) {
        octets += piece.length
        sum = crc32(piece, sum)
        yield piece
      }
    }
    return { id, uid, record, content: content(), isWhole: () => octets === entry.size && sum === body.sum }
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.folder, name), { recursive: true, force: true })
    await syncIfAllowed(this.folder)
  }

  /** Out of the way, and not lost: where it is now, and how many had to go for it. */
  async setAside(name: string): Promise<{ readonly path: string; readonly gone: number }> {
    const [from, path] = [join(this.folder, name), join(this.folder, ASIDE, name)]
    const { size } = await lstat(from)
    await rename(from, path)
    this.#aside = [...this.#aside.filter(each => each.name !== name), { name, octets: size }]
    let left = this.#aside.reduce((sum, { octets }) => sum + octets, 0)
    let gone = 0
    for (; this.#aside.length - gone > MOST_ASIDE || left > MAX_ASIDE; gone++) {
      const oldest = this.#aside[gone]
      if (!oldest) break
      left -= oldest.octets
      await rm(join(this.folder, ASIDE, oldest.name), { force: true })
    }
    this.#aside = this.#aside.slice(gone)
    return { path, gone }
  }
}

/** What lies in a folder, the first that came first. When that was is not for whoever made a file to say. */
async function lyingIn(folder: string): Promise<Aside[]> {
  const found: (Aside & { readonly came: number })[] = []
  for (const name of await readdir(folder)) {
    const stat = await lstat(join(folder, name)).catch(() => undefined)
    if (stat?.isFile()) found.push({ name, octets: stat.size, came: stat.ctimeMs })
  }
  return found.sort((a, b) => a.came - b.came)
}

function isInGroup(gid: number): boolean {
  return process.geteuid?.() === 0 || process.getegid?.() === gid || (process.getgroups?.() ?? []).includes(gid)
}

function ignoreThere(cause: NodeJS.ErrnoException): void {
  if (cause.code !== 'EEXIST') throw cause
}

/** A block at a time; one more than `most` octets of a file that grows meanwhile, at the most a block. */
async function* contentOf(file: FileHandle, from: number, most: number): AsyncIterable<Uint8Array> {
  try {
    for (let at = from; at <= from + most; ) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(BLOCK), 0, BLOCK, at)
      if (bytesRead === 0) return
      at += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}
