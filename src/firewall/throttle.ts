import type { Duration, Instant } from '../base/time.ts'
import { hostOf } from '../config/ip.ts'
import { holds } from '../topology/topology.ts'
import type { LimitKind } from './event.ts'
import type { LimitsConfig } from './gateway-config.ts'

/** Sources whose rate is remembered; the one seen first is forgotten first. */
export const MAX_SOURCES = 100_000

/** Who may come in now: so many at once, so many of one host, so many of one host in a time. */
export class Throttle {
  #open = 0
  readonly #bySource = new Map<string, number>()
  readonly #windows = new Map<string, { from: Instant; count: number }>()

  get open(): number {
    return this.#open
  }

  /** Takes one in, or says which limit it ran into; whoever was taken in must `leave`. */
  enter(
    source: string,
    limits: LimitsConfig,
    now: Instant,
  ): { readonly limit: LimitKind; readonly most: number } | undefined {
    const isPeer = limits.peers.some(each => each.ip === source || holds(each, source))
    const most = isPeer ? limits.connections : Math.max(0, limits.connections - limits.reserve)
    if (this.#open >= most) return { limit: 'connections', most }
    const host = hostOf(source)
    const own = this.#bySource.get(host) ?? 0
    if (!isPeer) {
      const { perSource, rate } = limits
      if (perSource > 0 && own >= perSource) return { limit: 'source connections', most: perSource }
      if (rate && !this.#mayComeAgain(host, rate, now)) return { limit: 'source rate', most: rate.count }
    }
    this.#open++
    this.#bySource.set(host, own + 1)
    return undefined
  }

  leave(source: string): void {
    this.#open--
    const host = hostOf(source)
    const own = (this.#bySource.get(host) ?? 1) - 1
    if (own > 0) this.#bySource.set(host, own)
    else this.#bySource.delete(host)
  }

  #mayComeAgain(
    source: string,
    { count, per }: { readonly count: number; readonly per: Duration },
    now: Instant,
  ): boolean {
    const window = this.#windows.get(source)
    if (window && now - window.from < per) {
      if (window.count >= count) return false
      window.count++
      return true
    }
    this.#windows.delete(source)
    if (this.#windows.size >= MAX_SOURCES) {
      const [first] = this.#windows.keys()
      if (first !== undefined) this.#windows.delete(first)
    }
    if (count === 0) return false
    this.#windows.set(source, { from: now, count: 1 })
    return true
  }
}
