/** The servers behind a firewall: which one a connection goes to, and which of them are up. */
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import type { Caller } from '../firewall/access.ts'
import { serversAt } from '../firewall/commands-gateway.ts'
import type { GatewayEvent } from '../firewall/event.ts'
import type { Farm, GatewayConfig, ProxiedTo } from '../firewall/gateway-config.ts'
import { greets } from '../io/probe.ts'
import { type Call, type Connected, type Endpoint, reach, sayEndpoint } from '../io/sockets.ts'
import { type Ends, formatProxyHeader } from '../topology/proxy-protocol.ts'

/** Probes that must fail, one after the other, before a server counts as down. One that succeeds brings it up again. */
export const FAILS_UNTIL_DOWN = 2
/** A probe that takes longer has failed. */
export const PROBE_WAIT: Duration = 5_000

/** A probe is nobody's connection: these ends are of no family, which is said as `UNKNOWN` or `LOCAL`. */
const OURSELVES: Ends = { source: '', sourcePort: 0, destination: '', destinationPort: 0 }

interface Health {
  fails: number
  isUp: boolean
}

export class Servers {
  readonly #tell: (event: GatewayEvent) => void
  #config: GatewayConfig
  readonly #health = new Map<string, Health>()
  #timers: NodeJS.Timeout[] = []
  #probes = new AbortController()
  /** By farm: whose turn it is. */
  readonly #turns = new Map<string, number>()

  constructor(config: GatewayConfig, tell: (event: GatewayEvent) => void) {
    this.#config = config
    this.#tell = tell
    this.#start()
  }

  /** Every probed server, and whether it is up. */
  get health(): ReadonlyMap<string, boolean> {
    return new Map(Array.from(this.#health, ([server, { isUp }]) => [server, isUp]))
  }

  /** The same for people: one is up until it has failed often enough. */
  lines(): readonly string[] {
    return Array.from(this.#health, ([server, { isUp, fails }]) => {
      return `${server} is ${isUp ? 'up' : 'down'}${isUp && fails > 0 ? ', but did not answer the last probe' : ''}`
    })
  }

  configure(config: GatewayConfig): void {
    if (config.farms === this.#config.farms) {
      this.#config = config
      return
    }
    this.stop()
    this.#config = config
    this.#start()
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer)
    this.#timers = []
    this.#probes.abort()
  }

  /** A connection to the first server that answers, those that are up before the others. */
  async dial(to: Caller, ends: Ends, call: Call): Promise<Connected> {
    let failure: unknown
    for (const server of this.#order({ host: to.destination, port: to.port })) {
      try {
        const socket = await reach(server, call)
        const told = this.#told(server)
        if (told) socket.write(formatProxyHeader(told.version, ends))
        return socket
      } catch (cause) {
        if (call.isOff) throw cause
        failure = cause
      }
    }
    throw failure ?? new PosternError('POSTERN_NO_SERVER', 'there is no server', { side: 'us', retry: 'later' })
  }

  #told({ host, port }: Endpoint): ProxiedTo | undefined {
    return this.#config.proxiedTo.find(each => each.ip === host && each.port === port)
  }

  #order(first: Endpoint): readonly Endpoint[] {
    const place = { ip: first.host, port: first.port }
    const servers = serversAt(this.#config, place).map(({ ip, port }): Endpoint => ({ host: ip, port }))
    const farm = this.#config.farms.find(({ ip, port }) => ip === place.ip && port === place.port)
    if (!farm) return servers
    const key = sayEndpoint(first)
    const turn = farm.predictor === 'roundrobin' ? (this.#turns.get(key) ?? 0) % servers.length : 0
    this.#turns.set(key, turn + 1)
    const turned = [...servers.slice(turn), ...servers.slice(0, turn)]
    const isUp = (server: Endpoint): boolean => this.#health.get(sayEndpoint(server))?.isUp ?? true
    return [...turned.filter(isUp), ...turned.filter(server => !isUp(server))]
  }

  #start(): void {
    this.#probes = new AbortController()
    const probed = this.#config.farms.flatMap(farm => {
      const { probe } = farm
      return probe ? serversAt(this.#config, farm).map(({ ip, port }) => ({ probe, at: { host: ip, port } })) : []
    })
    const names = new Set(probed.map(({ at }) => sayEndpoint(at)))
    for (const name of this.#health.keys()) if (!names.has(name)) this.#health.delete(name)
    for (const { probe, at } of probed) {
      if (!this.#health.has(sayEndpoint(at))) this.#health.set(sayEndpoint(at), { fails: 0, isUp: true })
      let isAsking = false
      const ask = async (): Promise<void> => {
        if (isAsking) return
        isAsking = true
        await this.#probe(probe, at)
        isAsking = false
      }
      void ask()
      const timer = setInterval(() => void ask(), probe.every)
      this.#timers.push(timer)
    }
  }

  async #probe({ kind }: NonNullable<Farm['probe']>, at: Endpoint): Promise<void> {
    const ours = this.#probes.signal
    const wait = AbortSignal.any([ours, AbortSignal.timeout(PROBE_WAIT)])
    const told = this.#told(at)
    const header = told && formatProxyHeader(told.version, OURSELVES)
    const why = await greets(at, { kind, signal: wait, ...(header && { header }) })
    if (ours.aborted) return
    const name = sayEndpoint(at)
    const before = this.#health.get(name) ?? { fails: 0, isUp: true }
    const fails = why === undefined ? 0 : before.fails + 1
    const isUp = fails === 0 || (before.isUp && fails < FAILS_UNTIL_DOWN)
    this.#health.set(name, { fails, isUp })
    if (isUp !== before.isUp) this.#tell({ kind: 'server', server: name, up: isUp, why: why ?? 'it answers' })
  }
}
