import {
  closeSync,
  existsSync,
  fdatasync,
  fstatSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
  writev,
} from 'node:fs'
import { dirname } from 'node:path'
import { syncFolder } from './folders.ts'
import { wholePages } from './journal-form.ts'

/**
 * A file of a journal. It has its blocks from the beginning: no full disk is in the way of what is written to it, and a flush
 * is about its content alone.
 */
export class JournalFile {
  readonly #file: number
  readonly #size: number
  #at = 0

  /** Makes it of `size` octets where there is none. Nothing where the disk has no room for it, or takes no files. */
  static open(path: string, size: number): JournalFile | undefined {
    try {
      if (!existsSync(path)) make(path, size)
      return new JournalFile(openSync(path, 'r+'))
    } catch {
      return undefined
    }
  }

  private constructor(file: number) {
    this.#file = file
    this.#size = fstatSync(file).size
  }

  fits(octets: number): boolean {
    return this.#at + octets <= this.#size
  }

  /** From its beginning again: all that is in it is in the tree. */
  rewind(): void {
    this.#at = 0
  }

  /** Resolves when so many octets are on disk. What failed is written over by what comes next. */
  append(pieces: readonly Uint8Array[], octets: number): Promise<void> {
    const file = this.#file
    return new Promise((resolve, reject) => {
      writev(file, pieces, this.#at, (wrong, written) => {
        if (wrong) return reject(wrong)
        if (written < octets) return reject(Object.assign(new Error('the disk took a part of it'), { code: 'EIO' }))
        fdatasync(file, failed => {
          if (failed) return reject(failed)
          this.#at += octets
          resolve()
        })
      })
    })
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** Under its name it is whole. */
function make(path: string, size: number): void {
  const unfinished = `${path}.new`
  const file = openSync(unfinished, 'w', 0o600)
  try {
    const zeros = new Uint8Array(Math.min(wholePages(size), 1024 ** 2))
    for (let at = 0; at < size; ) at += writeSync(file, zeros, 0, Math.min(zeros.length, wholePages(size) - at), at)
    fsyncSync(file)
    renameSync(unfinished, path)
    syncFolder(dirname(path))
  } catch (cause) {
    rmSync(unfinished, { force: true })
    throw cause
  } finally {
    closeSync(file)
  }
}
