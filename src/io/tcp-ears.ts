/** What a connection tells of, and what listeners are told. */
export interface Told {
  readonly data: Uint8Array
  readonly end: undefined
  readonly error: NodeJS.ErrnoException
  readonly close: undefined
  readonly drain: undefined
}

export type TcpEvent = keyof Told
export type Listener<Event extends TcpEvent> = (told: Told[Event]) => void

/** Whoever listens to one event or the other. `listener`: whom it stands for, where that one is told once. */
type Ear = ((told: never) => void) & { readonly listener?: (told: never) => void }

/** Mostly there is one. A list is never changed, so that all who were there are told though one of them goes meanwhile. */
type Heard = Ear | readonly Ear[] | undefined

/**
 * Those who listen to a connection, as to an `EventEmitter` of Node's, with two differences: to come, to be told and to
 * go costs a fraction, for every connection has a dozen of them; and an error that nobody listens to is no crash.
 */
export class Ears {
  protected readonly ears: Record<TcpEvent, Heard> = {
    data: undefined,
    end: undefined,
    error: undefined,
    close: undefined,
    drain: undefined,
  }

  on<Event extends TcpEvent>(event: Event, listener: Listener<Event>): this {
    const before: Heard = this.ears[event]
    this.ears[event] =
      before === undefined ? listener : typeof before === 'function' ? [before, listener] : [...before, listener]
    return this
  }

  once<Event extends TcpEvent>(event: Event, listener: Listener<Event>): this {
    const once = (told: Told[Event]): void => {
      this.off(event, once)
      listener(told)
    }
    return this.on(event, Object.assign(once, { listener }))
  }

  /** The one that came last of those that are the same. */
  off<Event extends TcpEvent>(event: Event, listener: Listener<Event>): this {
    const before: Heard = this.ears[event]
    if (typeof before === 'function') {
      if (isOf(before, listener)) this.ears[event] = undefined
    } else if (before) {
      const at = before.findLastIndex(each => isOf(each, listener))
      if (at >= 0) this.ears[event] = before.length === 2 ? before[1 - at] : before.toSpliced(at, 1)
    }
    return this
  }

  removeAllListeners(event: TcpEvent): this {
    this.ears[event] = undefined
    return this
  }
}

export function tell(heard: Heard, told?: Told[TcpEvent]): void {
  if (typeof heard === 'function') heard(told as never)
  else if (heard) for (const each of heard) each(told as never)
}

function isOf(ear: Ear, listener: Ear): boolean {
  return ear === listener || ear.listener === listener
}
