/** The places where a firewall or a mail server listens: opened and shut in turn, all or nothing where that is asked for. */
import { type Diagnostic, PosternError, type SourceRef } from '../base/problem.ts'
import type { Caller } from '../firewall/access.ts'
import { type Call, type Connected, type Endpoint, type Listening, sayEndpoint } from '../io/sockets.ts'
import type { Ends } from '../topology/proxy-protocol.ts'

/** A place where connections come in: by which interface, and what they ask for. */
export interface Door extends Place {
  /** The interface they arrive at. */
  readonly port: string
  readonly destination: string
  readonly destinationPort: number
  /** The caller's address, where the door knows better than the socket. */
  readonly source?: string
  readonly dial: (to: Caller, ends: Ends, call: Call) => Promise<Connected>
}

/** What every door has: the firewall's and the mail server's. */
export interface Place {
  readonly listen: Endpoint
  /** The line that asks for it. */
  readonly at?: SourceRef
}

/** A door that could not be opened. */
export interface ShutDoor<D extends Place = Door> {
  readonly door: D
  readonly cause: PosternError
}

export function shutDiagnostic({ door, cause }: ShutDoor<Place>): Diagnostic {
  return { severity: 'error', message: cause.message, ...(door.at && { at: door.at }) }
}

interface OpenDoor<D extends Place> {
  door: D
  /** Where it listens, or did: a port that the kernel chose stays the same. */
  at: Endpoint
  server: Listening | undefined
}

export interface Change<D extends Place> {
  /** The doors from now on; those there are, where nothing is said. */
  readonly doors?: readonly D[]
  /** Is there anybody whom this door would let in? It stays shut otherwise. */
  readonly admits: (door: D) => boolean
  /** One that cannot be opened leaves everything as it was. */
  readonly orNothing: boolean
  /** Called once it is certain that the change happens. */
  readonly commit: () => void
}

/** `S`: what whoever comes is served on, as `open` gives it. */
export class Doors<D extends Place, S> {
  readonly #accept: (door: D, socket: S) => void
  readonly #open: (at: Endpoint, accept: (socket: S) => void) => Promise<Listening>
  #doors: readonly OpenDoor<D>[] = []
  #state: 'open' | 'paused' | 'closed' = 'open'
  #turn: Promise<unknown> = Promise.resolve()

  constructor(
    accept: (door: D, socket: S) => void,
    open: (at: Endpoint, accept: (socket: S) => void) => Promise<Listening>,
  ) {
    this.#accept = accept
    this.#open = open
  }

  /** Where somebody listens now. */
  get open(): readonly Endpoint[] {
    return this.openWhere(() => true)
  }

  openWhere(is: (door: D) => boolean): readonly Endpoint[] {
    return this.#doors.flatMap(({ at, server, door }) => (server && is(door) ? [at] : []))
  }

  get isPaused(): boolean {
    return this.#state === 'paused'
  }

  /** One more, and where it is; one that admits nobody is shut again, and keeps its place. */
  add(door: D, admits: boolean): Promise<Endpoint> {
    return this.#serially(async () => {
      const opened = closed(door)
      await this.#listen(opened)
      this.#doors = [...this.#doors, opened]
      if (!admits) await shut(opened)
      return opened.at
    })
  }

  /** Opens what can be opened and shuts what is to be shut; the answer names those that could not be opened. */
  change({ doors, admits, orNothing, commit }: Change<D>): Promise<readonly ShutDoor<D>[]> {
    return this.#serially(async () => {
      const before = this.#doors
      const wanted = doors
        ? doors.map(door => ({ door, opened: this.#doorAt(door) }))
        : before.map(opened => ({ door: opened.door, opened }))
      const fresh: OpenDoor<D>[] = []
      const failed: ShutDoor<D>[] = []
      for (const { door, opened } of wanted) {
        if (opened.server || this.#state !== 'open' || !admits(door)) continue
        try {
          await this.#listen(opened)
          fresh.push(opened)
        } catch (cause) {
          if (!(cause instanceof PosternError)) throw cause
          failed.push({ door, cause })
        }
      }
      if (orNothing && failed.length > 0) {
        await Promise.all(fresh.map(shut))
        return failed
      }
      commit()
      this.#doors = wanted.map(({ opened }) => opened)
      for (const { door, opened } of wanted) opened.door = door
      for (const each of new Set([...before, ...this.#doors])) {
        if (!this.#doors.includes(each) || !admits(each.door)) void shut(each)
      }
      return failed
    })
  }

  /** Whoever comes now is refused by the kernel, at nobody's cost. */
  pause(): void {
    if (this.#state !== 'open') return
    this.#state = 'paused'
    for (const each of this.#doors) void shut(each)
  }

  /** Opens again what was open; `false` where a door could not be, and another try is needed. */
  resume(admits: (door: D) => boolean): Promise<boolean> {
    return this.#serially(async () => {
      if (this.#state !== 'paused') return true
      this.#state = 'open'
      for (const each of this.#doors) {
        if (each.server || !admits(each.door)) continue
        try {
          await this.#listen(each)
        } catch {
          this.pause()
          return false
        }
      }
      return true
    })
  }

  /** Shuts all of them for good. What is given back is kept once all who came in are gone. */
  async close(): Promise<{ readonly empty: Promise<unknown> }> {
    this.#state = 'closed'
    return this.#serially(async () => ({ empty: Promise.all(this.#doors.map(shut)) }))
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => {})
    return done
  }

  #doorAt(door: D): OpenDoor<D> {
    return this.#doors.find(({ at }) => sayEndpoint(at) === sayEndpoint(door.listen)) ?? closed(door)
  }

  async #listen(opened: OpenDoor<D>): Promise<void> {
    const server = await this.#open(opened.at, socket => this.#accept(opened.door, socket))
    opened.at = server.at
    opened.server = server
  }
}

function closed<D extends Place>(door: D): OpenDoor<D> {
  return { door, at: door.listen, server: undefined }
}

/** From now on nobody comes in; kept once all who came in are gone. */
function shut(opened: OpenDoor<Place>): Promise<void> {
  const { server } = opened
  opened.server = undefined
  return server ? server.close() : Promise.resolve()
}
