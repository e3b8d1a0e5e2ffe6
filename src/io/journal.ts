import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { JournalFile } from './journal-file.ts'
import { readGroups, SALT, type Since, type Step, since, writeGroup } from './journal-form.ts'

/** What is kept elsewhere of a journal: what its groups begin with, and the last of them of which it need not tell. */
export interface JournalState {
  readonly salt: Buffer
  readonly number: number
}

/** What a journal tells. */
export interface Told extends Since {
  /** The last group that was tried, whether it holds or not. */
  readonly tried: number
}

/** A group that is to be written. */
export interface Written {
  readonly number: number
  readonly pieces: readonly Uint8Array[]
  readonly octets: number
}

/** One is written while what is in the other goes where it belongs. */
const NAMES = ['journal-0', 'journal-1']

/**
 * What was done, on disk before it is said to be done: two files, of which each is written from its beginning again when
 * what is in it is elsewhere, too.
 */
export class Journal {
  readonly #salt: Buffer
  /** The last group that holds, and the last that was tried. */
  #last: number
  #tried: number
  /** The one that is written, those that may be next, and those in which something is that is nowhere else. */
  #file: JournalFile | undefined
  #idle: JournalFile[] = []
  #full: JournalFile[]

  /** What is to be kept of one that is new. */
  static begin(): JournalState {
    return { salt: randomBytes(SALT), number: 0 }
  }

  /** What the one in a folder tells. */
  static read(folder: string, { salt, number }: JournalState): Told {
    const files = NAMES.map(name => join(folder, name)).filter(existsSync)
    const groups = files.flatMap(path => readGroups(readFileSync(path), salt))
    return { ...since(number, groups), tried: Math.max(number, ...groups.map(each => each.number)) }
  }

  /** Begins to use the one in a folder, of files of so many octets. Where the disk has no room for them nothing fits. */
  constructor(folder: string, size: number, { salt, number }: JournalState, { groups, tried }: Told) {
    this.#salt = salt
    this.#last = groups.at(-1)?.number ?? number
    this.#tried = tried
    this.#full = NAMES.flatMap(name => JournalFile.open(join(folder, name), size) ?? [])
  }

  /** What is to be kept once all up to this group is elsewhere. */
  state(number: number): JournalState {
    return { salt: this.#salt, number }
  }

  group(steps: readonly Step[]): Written {
    const number = ++this.#tried
    const pieces = writeGroup({ number, after: this.#last, steps }, this.#salt)
    return { number, pieces, octets: pieces.reduce((sum, piece) => sum + piece.length, 0) }
  }

  fits({ octets }: Written): boolean {
    return this.#file?.fits(octets) ?? false
  }

  /** Resolves when it is on disk. */
  async append(group: Written): Promise<void> {
    await this.#file?.append(group.pieces, group.octets)
    this.holds(group)
  }

  /** This one is what the next one follows, wherever it was put. */
  holds({ number }: Written): void {
    this.#last = number
  }

  /** Takes the next file, where there is one. */
  turn(): void {
    if (this.#file) this.#full.push(this.#file)
    this.#file = this.#idle.pop()
    this.#file?.rewind()
  }

  /** All but what is in the file that is written is elsewhere. */
  release(): void {
    this.#idle.push(...this.#full)
    this.#full = []
  }

  close(): void {
    for (const file of [...this.#full, ...this.#idle, ...(this.#file ? [this.#file] : [])]) file.close()
  }
}
