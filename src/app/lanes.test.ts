import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { parse } from '../config/parse.ts'
import { Call } from '../io/sockets.ts'
import { MTA } from '../mta/commands.ts'
import type { MtaConfig } from '../mta/config.ts'
import { hopOf } from '../mta/hop.ts'
import { newEntry, type Outcome } from '../spool/entry.ts'
import { Lanes } from './lanes.ts'
import type { Turning, Waiting } from './outgoing.ts'

const RELAYED: Outcome = { kind: 'relayed', to: 'mx.b.example' }

/** A session of the lanes with a next hop, whose other end the test plays. */
class Session {
  readonly hop: string
  readonly #turning: Turning
  readonly #next: () => Promise<Turning | undefined>
  readonly #waiting: Waiting
  readonly over = Promise.withResolvers<string | undefined>()

  constructor(hop: string, turning: Turning, next: () => Promise<Turning | undefined>, waiting: Waiting) {
    this.hop = hop
    this.#turning = turning
    this.#next = next
    this.#waiting = waiting
  }

  /** Another server of the next hop is called. */
  calls(): Call {
    const call = new Call()
    this.#waiting.calls?.(call)
    return call
  }

  answers(): void {
    this.#waiting.answered?.()
  }

  /** The message is taken, and the session goes on for the next. */
  async takes(): Promise<void> {
    await this.#turning.done(new Map(this.#turning.recipients.map(each => [each, RELAYED])))
    void this.#next()
  }

  /** Over, and `why` nobody was there. */
  async ends(why?: string): Promise<void> {
    this.over.resolve(why)
    await settled()
  }
}

/** What follows from a promise has happened. */
async function settled(): Promise<void> {
  await new Promise(resolve => setImmediate(resolve))
}

/** Lanes by some lines of a configuration, on a clock that the test moves. */
function lanesOf(t: TestContext, ...lines: readonly string[]) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_001_783_358_000 })
  const all = ['smtp-connector out cost 1 dns', 'address-space out smtp *', 'queue retry 1h', ...lines]
  const { config, problems } = parse(MTA, all.join('\n'), 'mail.conf')
  assert.deepEqual(problems, [])
  const sessions: Session[] = []
  const relay = (
    hop: { readonly name: string },
    ...rest: readonly [Turning, () => Promise<Turning | undefined>, Waiting?]
  ) => {
    const session = new Session(hop.name, rest[0], rest[1], rest[2] ?? {})
    sessions.push(session)
    return session.over.promise
  }
  const lanes = new Lanes(config as MtaConfig, { relay }, () => {})
  t.after(() => lanes.stop({ all: true }))
  let made = 0
  /** A message for a domain. */
  const offer = (domain: string, connector = 'out') => {
    const to = { local: 'bob', domain }
    const envelope = { from: null, recipients: [{ to }], smtputf8: false, body: '7bit' } as const
    const entry = newEntry({ id: `m${++made}`, envelope, at: Date.now(), expire: 86_400_000, what: 'made' })
    const way = config?.routing.connectors.find(({ name }) => name === connector)
    assert.ok(way)
    return lanes.relay(entry, hopOf(way, to), [0])
  }
  const to = (hop: string) => sessions.filter(each => each.hop === hop)
  /** Its only session. */
  const session = (hop: string): Session => {
    const [only, ...more] = to(hop)
    assert.ok(only && more.length === 0, `${more.length + 1} sessions`)
    return only
  }
  return { lanes, offer, to, session, pass: (ms: number) => t.mock.timers.tick(ms) }
}

const ONE_STRANGER = 'queue all-destinations connections 100 unproven 1 patience 1m'

test('each further server of a next hop has its time from its own call on, whenever it is looked round', t => {
  const { offer, session, pass } = lanesOf(t, ONE_STRANGER)
  void offer('two.example')
  void offer('other.example')
  // DNS was slow; nobody was called meanwhile.
  pass(30_000)
  const [it, first] = [session('out two.example'), session('out two.example').calls()]
  pass(59_800)
  assert.equal(first.isOff, false)
  const second = it.calls()
  pass(4_800)
  assert.equal(second.isOff, false, 'not five seconds yet')
  pass(5_400)
  assert.equal(second.isOff, true)
  assert.equal(first.isOff, false, 'nobody waits for that any more')
})

test('a server that says nothing is not waited for because the one before it had answered', t => {
  const { offer, session, pass } = lanesOf(t, ONE_STRANGER)
  void offer('two.example')
  void offer('other.example')
  const it = session('out two.example')
  it.calls()
  it.answers()
  pass(50_000)
  const second = it.calls()
  pass(55_000)
  assert.equal(second.isOff, false)
  pass(10_000)
  assert.equal(second.isOff, true)
})

test('one that took mail before and is slow is waited for while only those that did not miss a connection', async t => {
  const { offer, to, session, pass } = lanesOf(t, ONE_STRANGER)
  void offer('good.example')
  await session('out good.example').takes()
  await session('out good.example').ends()
  for (const domain of ['s.example', 't.example', 'good.example']) void offer(domain)
  const [strange, slow] = [session('out s.example').calls(), to('out good.example')[1]?.calls()]
  pass(70_000)
  assert.equal(strange.isOff, true)
  assert.equal(slow?.isOff, false)
})

test('a connector with a target need not have taken mail, and domains that senders name do not hold it up', t => {
  const { offer, to, session } = lanesOf(t, ONE_STRANGER, 'connector b to B cost 1 target 192.0.2.1')
  for (const domain of ['s.example', 't.example']) void offer(domain)
  void offer('b.example', 'b')
  assert.ok(session('b'))
  assert.equal(to('out t.example').length, 0)
})

test('what a next hop had of the share is for others as soon as it takes a message', async t => {
  const { offer, to, session } = lanesOf(t, ONE_STRANGER)
  void offer('one.example')
  void offer('two.example')
  assert.equal(to('out two.example').length, 0)
  await session('out one.example').takes()
  await settled()
  assert.equal(to('out two.example').length, 1)
})
