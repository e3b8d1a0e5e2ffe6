import { closeSync, fstatSync, openSync, writeSync } from 'node:fs'
import type { Database, RootDatabase } from 'lmdb'

/**
 * The room of a tree's file. LMDB never meets a full disk, for there it may take the process with it (SIGABRT in the midst
 * of a commit): the file has blocks ahead of what is in use, and what would not fit into them is refused before it is begun.
 * What came of messages that are kept may use the last of them, new messages may not.
 */
export class TreeRoom {
  readonly #root: RootDatabase<Buffer, string>
  readonly #tables: readonly Database<unknown, string>[]
  readonly #file: number
  readonly #wanted: number
  /** Octets behind what is in use, at the last look. */
  #ahead = 0

  /** `wanted`: octets of the file that are kept ahead of what is in use. */
  constructor(
    path: string,
    wanted: number,
    root: RootDatabase<Buffer, string>,
    tables: readonly Database<unknown, string>[],
  ) {
    // Now, for later it may have been moved, or there may be no more files.
    this.#file = openSync(path, 'r+')
    this.#wanted = wanted
    this.#root = root
    this.#tables = tables
  }

  /** Octets that one commit may take: one is under way while the next gathers. A commit that fails takes no more with it. */
  get commit(): number {
    return this.#wanted * PART
  }

  /** Those who fit beside what was promised before. `need`: octets of the file. `lazy`: about what is kept already. */
  fitting<Asked extends { readonly need: number; readonly lazy: boolean }>(
    group: readonly Asked[],
    promised: number,
  ): readonly Asked[] {
    const wanted = this.#wanted
    let left = this.#ahead - promised - wanted * COMMIT
    // Where much in the middle is free, it goes there, or nearly all of it.
    const spare = wanted * (left < wanted * (SPARE + 2 * PART) && this.#free() >= wanted * 2 * PART ? LITTLE : SPARE)
    return group.filter(({ need, lazy }) => {
      const fits = left - need >= (lazy ? 0 : spare)
      if (fits) left -= need
      return fits
    })
  }

  /**
   * Looks how much there is ahead, and adds to it where it became little and the disk has more. Nothing else may write to
   * the file meanwhile: no commit is under way, and this does not wait.
   */
  look(): void {
    const file = this.#file
    const { lastPageNumber, pageSize } = this.#root.getStats() as unknown as RootStats
    const inUse = (lastPageNumber + 1) * pageSize
    const wanted = this.#wanted
    const ahead = (): number => fstatSync(file).blocks * BLOCK - inUse
    this.#ahead = ahead()
    if (this.#ahead >= wanted * FEW) return
    try {
      for (let at = Math.max(fstatSync(file).size, inUse); at < inUse + wanted; )
        at += writeSync(file, ZEROS, 0, Math.min(ZEROS.length, inUse + wanted - at), at)
    } catch {
      // The disk has no more; what there is counts.
    }
    this.#ahead = ahead()
  }

  /** Octets of pages that were in use, and are not. */
  #free(): number {
    const { lastPageNumber, pageSize, free } = this.#root.getStats() as unknown as RootStats
    const inUse = [free, ...[this.#root, ...this.#tables].map(each => each.getStats() as unknown as TableStats)]
      .map(each => each.treeBranchPageCount + each.treeLeafPageCount + each.overflowPages)
      .reduce((sum, pages) => sum + pages, META_PAGES)
    return (lastPageNumber + 1 - inUse) * pageSize
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** What LMDB says of a table, and of the whole: in pages. */
interface TableStats {
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

interface RootStats {
  readonly lastPageNumber: number
  readonly pageSize: number
  readonly free: TableStats
}

/** The pages at the beginning that say what is valid. */
const META_PAGES = 2

/** What follows are parts of what is wanted ahead. Less than this is too little, and more is added. */
const FEW = 3 / 4
/** What new messages leave of it, and what they leave where they go into the middle of the file. */
const SPARE = 1 / 4
const LITTLE = 1 / 16
/** What a commit may take besides what is put: pages that tell what is free. */
const COMMIT = 1 / 16
const PART = 3 / 16
/** Octets of a block as `stat` counts them. */
const BLOCK = 512
const ZEROS = new Uint8Array(1024 ** 2)
