/** What a server has under way: work to wait for when it is stopped, and sockets to cut when that takes too long. */
import type { Duration } from '../base/time.ts'
import type { Channel } from '../io/sockets.ts'

export class Underway {
  readonly #work = new Set<Promise<unknown>>()
  readonly #sockets = new Set<Channel>()
  #isStopped = false
  #isRetired = false
  /** Has the grace of a stop run out? A connection that comes about after that is cut at once. */
  #isCut = false

  get isStopped(): boolean {
    return this.#isStopped
  }

  /** Stopped, and somebody else goes on with what was not begun. */
  get isRetired(): boolean {
    return this.#isRetired
  }

  /** Pieces of work that are not done. */
  get count(): number {
    return this.#work.size
  }

  /** `work` must not fail. */
  add(work: Promise<unknown>): void {
    const done: Promise<unknown> = work.finally(() => this.#work.delete(done))
    this.#work.add(done)
  }

  /** The socket lives as long as the server does, at most. */
  hold(socket: Channel): void {
    if (this.#isCut) socket.destroy()
    // Of one that is gone already nothing more is heard.
    if (socket.destroyed) return
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
  }

  /** Nothing new is to be begun. */
  stop(): void {
    this.#isStopped = true
  }

  retire(): void {
    this.#isStopped = true
    this.#isRetired = true
  }

  /** Waits for all work and for `others`, however long that takes. */
  async done(others: readonly Promise<unknown>[]): Promise<void> {
    await Promise.all([...others, ...this.#work])
    // What came meanwhile, of those who were still here.
    while (this.#work.size > 0) await Promise.all(this.#work)
  }

  /** Waits for all work and for `others`; after `grace` every socket is cut. */
  async drain(grace: Duration, others: readonly Promise<unknown>[]): Promise<void> {
    const cut = setTimeout(() => {
      this.#isCut = true
      for (const socket of this.#sockets) socket.destroy()
    }, grace)
    await Promise.all([...others, ...this.#work]).finally(() => clearTimeout(cut))
  }
}
