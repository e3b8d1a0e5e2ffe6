import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { BLOCK, Blocks } from './blocks.ts'
import type { FolderSync } from './folders.ts'

/** A body on its way in: in memory as long as it is small, then in a file. */
export class IncomingBody {
  readonly #folder: string
  readonly #name: string
  readonly #inTree: number
  #blocks = new Blocks()
  #file: FileHandle | undefined
  size = 0
  sum = 0

  constructor(folder: string, name: string, inTree: number) {
    this.#folder = folder
    this.#name = name
    this.#inTree = inTree
  }

  get place(): 'tree' | 'file' {
    return this.#file ? 'file' : 'tree'
  }

  /** A promise where it is written out. */
  push(piece: Uint8Array): Promise<void> | undefined {
    this.size += piece.length
    this.sum = crc32(piece, this.sum)
    this.#blocks.push(piece)
    return this.size <= this.#inTree || this.#blocks.size < BLOCK ? undefined : this.#spill()
  }

  get #path(): string {
    return join(this.#folder, this.#name)
  }

  async #spill(): Promise<void> {
    this.#file ??= await open(this.#path, 'wx', 0o600)
    const file = this.#file
    const blocks = this.#blocks.whole()
    this.#blocks = new Blocks()
    for (const block of blocks) await file.appendFile(block)
  }

  /** Afterwards a file is on disk, and so is its name. */
  async finish(names: FolderSync): Promise<void> {
    if (this.size <= this.#inTree) return
    await this.#spill()
    const file = this.#file
    if (!file) return
    await file.sync()
    await file.close()
    await names.sync()
  }

  /** All of it, where it is small enough to be held. */
  get content(): Uint8Array | undefined {
    if (this.#file) return undefined
    const blocks = this.#blocks.whole()
    return blocks.length === 1 ? blocks[0] : Buffer.concat(blocks)
  }

  async discard(): Promise<void> {
    if (!this.#file) return
    await this.#file.close().catch(() => {})
    await rm(this.#path, { force: true }).catch(() => {})
  }
}

/** The octets of a file, a block at a time. */
export async function* fileBody(path: string): AsyncIterable<Uint8Array> {
  const file = await open(path, 'r')
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(BLOCK), 0, BLOCK)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}
