import { closeSync, fsyncSync, openSync } from 'node:fs'
import { open } from 'node:fs/promises'

/** The same for a start, where nobody waits. */
export function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** Makes names in a folder durable: a file's own fsync does not. Whoever asks while one flush is under way shares the next. */
export class FolderSync {
  readonly #path: string
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(path: string) {
    this.#path = path
  }

  sync(): Promise<void> {
    if (!this.#running) {
      this.#running = this.#flush().finally(() => {
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

  async #flush(): Promise<void> {
    const folder = await open(this.#path, 'r')
    await folder.sync().finally(() => folder.close())
  }
}
