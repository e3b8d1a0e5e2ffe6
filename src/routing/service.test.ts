import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from '../config/parse.ts'
import { MTA } from '../mta/commands.ts'
import { guid, md5, sha256 } from './any-table.test.ts'
import type { ExchangeOutput } from './exchange.ts'
import type { Guid } from './link-state.ts'
import { nameOf } from './master.ts'
import { organization } from './organization.ts'
import { RoutingService, type ServiceOutput } from './service.ts'

/** Four sites in a ring, A–B 10, B–C 10, A–D 15, D–C 10; each told of nothing but its own connectors. */
const RING = { A: { B: 10, D: 15 }, B: { A: 10, C: 10 }, C: { B: 10, D: 10 }, D: { A: 15, C: 10 } } as const
type Site = keyof typeof RING
const SITES = Object.keys(RING) as readonly Site[]

function textOf(site: Site, by: string): string {
  const ways = Object.entries(RING[site]).map(([to, cost]) => {
    return `connector ${site}-${to} to ${to} cost ${cost} target 10.0.0.${SITES.indexOf(to as Site) + 1}`
  })
  const domain = `${site.toLowerCase()}.example`
  return [`hostname mail.${domain}`, `local-domain ${domain}`, `routing-group ${site}`, ...ways, by].join('\n')
}

function serviceOf(site: Site, by: string): RoutingService {
  const { config, problems } = parse(MTA, textOf(site, by), `${site}.conf`)
  assert.deepEqual(problems, [])
  const incarnation = guid('e', SITES.indexOf(site))
  const here = { server: config.hostname, domains: config.localDomains, sha256, incarnation }
  return new RoutingService(organization(config.routing, here), config.routing, md5)
}

/** A world of servers, links that can be cut, and firewalls that remove X-LINK2STATE; its time is virtual. */
class World {
  readonly services: ReadonlyMap<Site, RoutingService>
  readonly delta: boolean
  readonly cut = new Set<string>()
  /** Mail passes, routing state does not. */
  readonly deaf = new Set<string>()
  readonly said: string[] = []
  now = 0
  #due: (() => void)[] = []

  constructor(by = 'route-by link-state', delta = true) {
    this.delta = delta
    this.services = new Map(SITES.map(site => [site, serviceOf(site, by)]))
    for (const site of SITES) this.act(site, this.at(site).tick(0))
    this.settle()
  }

  at(site: Site): RoutingService {
    const found = this.services.get(site)
    if (!found) throw new Error(site)
    return found
  }

  act(site: Site, outputs: readonly ServiceOutput[]): void {
    for (const output of outputs) {
      if (output.kind === 'probe') this.#due.push(() => this.connect(site, output.connector))
      if (output.kind === 'tell') this.#due.push(() => this.tell(site, output.connector))
      if (output.kind === 'published') this.said.push(`${site}: ${output.published.what.join(', ')}`)
      if (output.kind === 'finding') this.said.push(`${site}: ${output.finding.why}`)
    }
  }

  #farEnd(site: Site, connector: Guid): Site {
    return this.at(site).connector(connector)?.groups[0] as Site
  }

  #isCut(site: Site, far: Site, links: ReadonlySet<string>): boolean {
    return links.has(`${site}${far}`) || links.has(`${far}${site}`)
  }

  /** Tries a connector, as mail or a probe does. */
  connect(site: Site, connector: Guid): boolean {
    const isCut = this.#isCut(site, this.#farEnd(site, connector), this.cut)
    const service = this.at(site)
    this.act(site, isCut ? service.failed(connector, 'refused', this.now) : service.connected(connector, this.now))
    return !isCut
  }

  tell(site: Site, connector: Guid): void {
    const far = this.#farEnd(site, connector)
    const [client, server] = [this.at(site), this.at(far)]
    if (!this.connect(site, connector) || this.#isCut(site, far, this.deaf)) {
      this.act(site, client.told(connector, false, this.now))
      return
    }
    const common = { teller: 'other-group', delta: this.delta } as const
    const asking = client.exchange({ ...common, side: 'client', neighbour: far })
    const answering = server.exchange({ ...common, side: 'server', neighbour: site })
    let inStep = false
    const said = (outputs: readonly ExchangeOutput[]): string | undefined =>
      outputs.find(output => output.kind === 'say')?.frame
    let outputs = asking.begin()
    for (let isClient = true; ; ) {
      this.act(isClient ? site : far, (isClient ? client : server).heard(outputs, this.now))
      if (isClient) inStep = outputs.some(output => output.kind === 'done' && output.inStep)
      const frame = said(outputs)
      if (frame === undefined) break
      isClient = !isClient
      outputs = (isClient ? asking : answering).hear(frame)
    }
    this.act(site, client.told(connector, inStep, this.now))
  }

  settle(): void {
    for (let i = 0; this.#due.length > 0; i++) {
      assert.ok(i < 10_000, 'it never comes to rest')
      this.#due.shift()?.()
    }
  }

  /** Lets time pass, deadline by deadline. */
  pass(minutes: number): void {
    const until = this.now + minutes * 60_000
    for (let i = 0; ; i++) {
      assert.ok(i < 10_000, 'time does not pass')
      const next = Math.min(...SITES.map(site => this.at(site).deadline ?? Number.POSITIVE_INFINITY))
      this.now = Math.max(this.now, Math.min(next, until))
      if (next > until) break
      for (const site of SITES) this.act(site, this.at(site).tick(this.now))
      this.settle()
    }
    this.now = until
  }

  /** Mail from a site, as far as its route says; a connector that fails is noticed. */
  mail(from: Site, to: Site): string {
    const route = this.at(from).route({ to: { local: 'u', domain: `${to.toLowerCase()}.example` } }, this.now)
    if (route.kind === 'unreachable') return route.status
    this.connect(from, route.connector.connector)
    this.settle()
    return `${route.kind} ${nameOf(route.connector)} ${route.cost}`
  }

  digests(): number {
    return new Set(SITES.map(site => this.at(site).engine.digest)).size
  }
}

test('four sites that each know their own connectors learn all others, and route to them', () => {
  for (const delta of [true, false]) {
    const world = new World('route-by link-state', delta)
    assert.equal(world.digests(), 1)
    assert.equal(world.mail('A', 'C'), 'relay A-B 20')
    assert.equal(world.mail('D', 'B'), 'relay D-C 20')
    assert.equal(world.mail('A', 'A'), 'relay Local Domains 0')
  }
})

test('one link is cut: the news spreads, and mail goes round without a failure of its own; healed, it goes back', () => {
  const world = new World()
  world.cut.add('BC')
  world.mail('B', 'C')
  assert.equal(world.mail('A', 'C'), 'relay A-B 20')
  world.pass(3)
  assert.deepEqual(world.said, ['B: B-C is down'])
  assert.equal(world.digests(), 1)
  assert.equal(world.mail('A', 'C'), 'relay A-D 25')
  assert.equal(world.mail('B', 'C'), 'relay B-A 35')
  // Both roads: it waits for the cheaper one, here.
  world.cut.add('DC')
  world.mail('D', 'C')
  world.pass(3)
  assert.equal(world.mail('A', 'C'), 'hold A-B 20')
  world.cut.clear()
  world.pass(15)
  assert.equal(world.mail('A', 'C'), 'relay A-B 20')
  assert.equal(world.digests(), 1)
})

test('a firewall that removes the verb: mail flows, the table goes stale, and the digests show it', () => {
  const world = new World()
  // C is told of by B and D alone, and A hears of C from neither.
  world.deaf.add('AB').add('AD')
  world.cut.add('BC')
  world.mail('B', 'C')
  world.pass(30)
  assert.equal(world.mail('B', 'C'), 'relay B-A 35')
  // A does not know: it takes the dead road, and B would send its mail back.
  assert.equal(world.mail('A', 'C'), 'relay A-B 20')
  assert.equal(world.digests(), 2)
  world.deaf.clear()
  world.pass(2)
  assert.equal(world.digests(), 1)
  assert.equal(world.mail('A', 'C'), 'relay A-D 25')
})

test('by least cost the way stays, and the news crosses all the same', () => {
  const world = new World('route-by least-cost')
  world.cut.add('BC')
  world.mail('B', 'C')
  world.pass(3)
  assert.equal(world.mail('A', 'C'), 'relay A-B 20')
  assert.equal(world.digests(), 1)
  const glitch = new World('reroute after-glitch')
  glitch.cut.add('AB')
  assert.equal(glitch.mail('A', 'C'), 'relay A-B 20')
  glitch.pass(3)
  assert.equal(glitch.mail('A', 'C'), 'relay A-D 25')
  assert.equal(glitch.mail('D', 'B'), 'relay D-C 20')
})

test('a service that takes over from another goes on with the connectors that are the same, down or not', () => {
  for (const by of ['route-by link-state', 'reroute after-glitch']) {
    const world = new World(by)
    world.cut.add('AB')
    world.mail('A', 'C')
    world.pass(3)
    const before = world.at('A')
    const way = (fits: (name: string) => boolean): string => {
      const next = serviceOf('A', by)
      next.learn(before.engine.table, world.now)
      next.adopt(before, fits, world.now)
      const found = next.route({ to: { local: 'u', domain: 'c.example' } }, world.now)
      return 'connector' in found ? nameOf(found.connector) : found.kind
    }
    assert.deepEqual([way(name => name === 'A-B'), way(name => name === 'A-D')], ['A-D', 'A-B'], by)
  }
})
