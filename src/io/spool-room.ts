import { lstatSync, statSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Duration } from '../base/time.ts'
import type { Kept } from '../spool/spool.ts'

/** How old what we know of the disk may be. */
const LOOK: Duration = 500
/** What a commit may want besides the messages in it. */
const ONE_GROUP = 1024 ** 2

export type Refused = Kept & { readonly kept: false }

export interface RoomLimits {
  /** Octets of bodies. */
  readonly limit: number
  /** Octets of the disk that are left alone. */
  readonly leftFree: number
}

/** The room of a spool on disk: what it holds, and what is left for more. */
export class SpoolRoom {
  readonly #folder: string
  readonly #tree: string
  readonly #limits: RoomLimits
  readonly #file: { readonly dev: number; readonly ino: number }
  /** Octets of bodies, those that are on their way in included. */
  size = 0
  /** Octets of the tree's file that are in use, about; `undefined` while nobody knows. */
  readonly #inUse: () => number | undefined
  /** Octets left on the disk, and those that the tree can use again besides. */
  #disk = 0
  #reusable = 0
  #looked = 0
  #looking: Promise<string | undefined> | undefined

  /** `tree`: the name of its file in the folder, which is there. */
  constructor(folder: string, tree: string, limits: RoomLimits, inUse: () => number | undefined) {
    this.#folder = folder
    this.#tree = join(folder, tree)
    this.#limits = limits
    this.#file = statSync(this.#tree)
    this.#inUse = inUse
  }

  /** Why there is none for so many octets more, which are counted already; nothing when there is. Looks at the disk now and then. */
  forMore(octets: number): Refused | undefined | Promise<Refused | undefined> {
    const looking = this.#look()
    return looking ? looking.then(wrong => this.#judge(octets, wrong)) : this.#judge(octets, undefined)
  }

  /** Why there is none, in words, by a look at the disk now; nothing when there is. */
  async trouble(): Promise<string | undefined> {
    const wrong = await this.#lookNow()
    if (wrong !== undefined) return wrong
    if (this.size >= this.#limits.limit) return full(this.#limits.limit)
    return this.#disk + this.#reusable < this.#limits.leftFree ? this.#diskIsFull : undefined
  }

  /** Of a full disk LMDB says that its input or output failed, whatever the reason. `size`: what was to be written. */
  async why(refused: Refused, size: number): Promise<Refused> {
    await this.#lookNow()
    return this.#disk < this.#limits.leftFree + size + ONE_GROUP ? { ...refused, why: 'no-space' } : refused
  }

  get #diskIsFull(): string {
    return `the disk of ${this.#folder} is full`
  }

  /** `wrong`: what a look at the disk came to. */
  #judge(octets: number, wrong: string | undefined): Refused | undefined {
    const { limit, leftFree } = this.#limits
    if (this.size > limit) return { kept: false, why: 'no-space', words: full(limit) }
    if (wrong !== undefined) return { kept: false, why: 'fault', words: wrong }
    this.#disk -= octets
    if (this.#disk + this.#reusable >= leftFree) return undefined
    // It may be that there is more by now.
    if (performance.now() - this.#looked > LOOK) this.#looked = 0
    return { kept: false, why: 'no-space', words: this.#diskIsFull }
  }

  #look(): Promise<string | undefined> | undefined {
    if (this.#looked > 0 && performance.now() - this.#looked < LOOK) return undefined
    this.#looking ??= this.#lookNow().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #lookNow(): Promise<string | undefined> {
    try {
      const { bavail, bsize } = await statfs(this.#folder)
      // What is written to a file that was taken away is kept by nobody.
      const { dev, ino, blocks } = lstatSync(this.#tree)
      if (dev !== this.#file.dev || ino !== this.#file.ino)
        return `${this.#folder} is no longer the spool that was opened`
      this.#disk = bavail * bsize
      // The file of a tree never shrinks; what messages leave behind in it is for the next ones.
      const inUse = this.#inUse()
      this.#reusable = inUse === undefined ? 0 : Math.max(0, blocks * 512 - inUse)
      this.#looked = performance.now()
      return undefined
    } catch (cause) {
      return `${this.#folder}: ${(cause as Error).message}`
    }
  }
}

function full(limit: number): string {
  return `the spool holds its ${limit} octets`
}
