import { Bag } from '../base/bag.ts'
import type { Duration, Instant } from '../base/time.ts'
import { now } from './clock.ts'

/** How late an alarm may be at most, beyond what the process itself is. */
export const GRAIN: Duration = 20
/** A timer of Node's cannot be set for longer than some weeks; nothing is lost by looking once in this time. */
const LONGEST: Duration = 3_600_000

const set = new Bag<Alarm>()
let timer: NodeJS.Timeout | undefined
/** When the timer is up, as `performance.now` tells: the clock on the wall may be set meanwhile. */
let next = Infinity

/**
 * Something that is to happen at a time, unless it is called off, as nearly all deadlines of connections are. One timer
 * serves all of them: it stands for the earliest, and looks through all when it is up. It does not keep the process alive:
 * whoever has a deadline has a socket that does.
 */
export class Alarm {
  readonly #ring: () => void
  #due: Instant = Infinity
  /** The same as `performance.now` will tell it. */
  #at = Infinity
  #place: number | undefined

  constructor(ring: () => void) {
    this.#ring = ring
  }

  get isSet(): boolean {
    return this.#place !== undefined
  }

  get due(): Instant {
    return this.#due
  }

  /** Rings once then, and not at the time that was said before; at once where that is past, or is no time at all. */
  set(due: Instant): void {
    const wait = due - now()
    this.#due = due
    this.#at = performance.now() + (wait > 0 ? wait : 0)
    this.#place ??= set.add(this)
    if (this.#at < next) look(this.#at)
  }

  off(): void {
    if (this.#place === undefined) return
    set.remove(this.#place)
    this.#place = undefined
  }

  static ringAll(): void {
    const time = performance.now()
    const due: Alarm[] = []
    let earliest = Infinity
    for (const alarm of set) {
      if (alarm.#at <= time) due.push(alarm)
      else earliest = Math.min(earliest, alarm.#at)
    }
    next = Infinity
    if (earliest < Infinity) look(Math.max(earliest, time + GRAIN))
    for (const alarm of due) {
      // One that rang before it may have called it off, or set it anew.
      if (alarm.#place === undefined || alarm.#at > time) continue
      alarm.off()
      alarm.#ring()
    }
  }
}

function look(at: number): void {
  clearTimeout(timer)
  next = at
  // A timer may be up within the millisecond before.
  timer = setTimeout(Alarm.ringAll, Math.min(Math.max(0, at - performance.now()) + 1, LONGEST)).unref()
}
