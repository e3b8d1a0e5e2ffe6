import { closeSync, fsyncSync, openSync } from 'node:fs'
import { open } from 'node:fs/promises'

/** Makes the names in a folder durable: a file's own fsync does not. */
export async function flushFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  await folder.sync().finally(() => folder.close())
}

/** The same for a start, where nobody waits. */
export function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** The same for many: whoever asks while one flush is under way shares the next. */
export class FolderSync {
  readonly #path: string
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(path: string) {
    this.#path = path
  }

  sync(): Promise<void> {
    if (!this.#running) {
      this.#running = flushFolder(this.#path).finally(() => {
        this.#running = undefined
      })
      return this.#running
    }
    // The one under way may have begun before our name was there.
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        return this.sync()
      })
    return this.#next
  }
}
