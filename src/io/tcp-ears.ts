/** What a connection tells of. */
export type TcpEvent = 'data' | 'end' | 'error' | 'close' | 'drain'

// biome-ignore lint/suspicious/noExplicitAny: what a listener is told depends on the event, as Node has it.
export type Listener = (told?: any) => void

/** `listener`: whom it stands for, where that one is told once. */
type Ear = Listener & { readonly listener?: Listener }

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

  on(event: TcpEvent, listener: Listener): this {
    const before = this.ears[event]
    this.ears[event] =
      before === undefined ? listener : typeof before === 'function' ? [before, listener] : [...before, listener]
    return this
  }

  once(event: TcpEvent, listener: Listener): this {
    const once = (told: unknown): void => {
      this.off(event, once)
      listener(told)
    }
    return this.on(event, Object.assign(once, { listener }))
  }

  /** The one that came last of those that are the same. */
  off(event: TcpEvent, listener: Listener): this {
    const before = this.ears[event]
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

export function tell(heard: Heard, told?: unknown): void {
  if (typeof heard === 'function') heard(told)
  else if (heard) for (const each of heard) each(told)
}

function isOf(ear: Ear, listener: Listener): boolean {
  return ear === listener || ear.listener === listener
}
