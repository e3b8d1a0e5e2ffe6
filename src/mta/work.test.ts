import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, text } from '../base/bytes.ts'
import { parse } from '../config/parse.ts'
import { show } from '../config/show.ts'
import { guid, md5, sha256 } from '../routing/any-table.test.ts'
import { organization } from '../routing/organization.ts'
import { RoutingService } from '../routing/service.ts'
import type { Mailbox } from '../smtp/address.ts'
import { dueAt, isDone, MAX_NOTES, newEntry, noted, type Outcome, type SpoolEntry, sayOutcome } from '../spool/entry.ts'
import { EXCHANGE_2003, nextTry } from '../spool/retry.ts'
import { acceptRecipient } from './acceptance.ts'
import { bounce } from './bounce.ts'
import { MTA } from './commands.ts'
import type { MtaConfig } from './config.ts'
import { batches, conclude, hastened, isLate } from './work.ts'

const TEXT = `hostname mail-a.a.example
local-domain a.example
mailbox alice@a.example
mailbox ann@a.example
relay-from 10.53.7.0 255.255.255.0
connector A-to-B to B cost 10 target 10.54.7.10
connector A-to-C to C cost 20 target 10.55.7.10
address-space A-to-B smtp b.example
address-space A-to-B smtp d.example
address-space A-to-C smtp c.example
`

function read(text: string): MtaConfig {
  const { config, problems } = parse(MTA, text, 'mta.conf')
  assert.deepEqual(problems, [])
  return config
}

const CONFIG = read(TEXT)
const HERE = { server: CONFIG.hostname, domains: CONFIG.localDomains, sha256, incarnation: guid('e', 1) }
const WAYS = new RoutingService(organization(CONFIG.routing, HERE), CONFIG.routing, md5)
const MINUTE = 60_000
const DAY = 1440 * MINUTE
const at = (local: string, domain: string): Mailbox => ({ local, domain })

function entry(...recipients: readonly Mailbox[]): SpoolEntry {
  return {
    id: 'E1',
    revision: 0,
    arrived: 0,
    expires: 2 * DAY,
    envelope: {
      from: at('alice', 'a.example'),
      recipients: recipients.map(to => ({ to })),
      smtputf8: false,
      body: '7bit',
    },
    size: 10,
    recipients: recipients.map(() => ({ kind: 'waiting', due: 0, attempts: 0 })),
    trail: [],
  }
}

const later: Outcome = { kind: 'deferred', by: { code: 450, text: ['later'] } }
const never: Outcome = { kind: 'failed', by: { code: 550, status: '5.1.1', text: ['no such user'] } }
const gone: Outcome = { kind: 'relayed', to: 'mail-b' }

test('who may send where: to us anybody, elsewhere a login or an address that a line names', () => {
  const ask = (to: Mailbox, peer: string, login?: string) =>
    acceptRecipient(CONFIG, { about: 'rcpt', to, from: null, peer, login })
  assert.deepEqual(ask(at('Alice', 'A.example'), '192.0.2.7'), { yes: '' })
  assert.deepEqual(ask(at('nobody', 'a.example'), '10.53.7.1'), { no: 'no-such-user' })
  assert.deepEqual(ask(at('postmaster', ''), '192.0.2.7'), { yes: '' })
  assert.deepEqual(ask(at('bob', 'b.example'), '192.0.2.7'), { no: 'relay-refused' })
  assert.deepEqual(ask(at('bob', 'b.example'), '10.53.7.1'), { yes: '' })
  assert.deepEqual(ask(at('bob', 'b.example'), '192.0.2.7', 'alice'), { yes: '' })
  assert.deepEqual(ask(at('bob', 'elsewhere.example'), '10.53.7.1', 'alice'), { no: 'relay-refused' })
  const open = read(`${TEXT}address-space A-to-C smtp *\n`)
  const bare = { about: 'rcpt', to: at('bob', ''), from: null, peer: '10.53.7.1', login: 'alice' } as const
  assert.deepEqual(acceptRecipient(open, bare), { no: 'relay-refused' })
})

test('recipients that go one way are one batch, and those with none have their outcome at once', () => {
  const to = [
    at('bob', 'b.example'),
    at('alice', 'a.example'),
    at('dave', 'd.example'),
    at('carol', 'c.example'),
    at('eve', 'e.example'),
    at('nobody', 'a.example'),
  ]
  const found = batches(CONFIG, entry(...to), 0, { ways: WAYS }).map(batch => [
    batch.kind === 'relay' ? batch.hop.name : batch.kind,
    batch.recipients,
  ])
  assert.deepEqual(found, [
    ['A-to-B', [0, 2]],
    ['local', [1]],
    ['A-to-C', [3]],
    ['nowhere', [4]],
    ['nowhere', [5]],
  ])
})

test('a recipient who is done, or not due yet, is in no batch', () => {
  const waiting = entry(at('bob', 'b.example'), at('dave', 'd.example'))
  const states: SpoolEntry['recipients'] = [
    { kind: 'done', at: 0, outcome: gone },
    { kind: 'waiting', due: 100, attempts: 1 },
  ]
  assert.deepEqual(batches(CONFIG, { ...waiting, recipients: states }, 99, { ways: WAYS }), [])
  assert.deepEqual(
    batches(CONFIG, { ...waiting, recipients: states }, 100, { ways: WAYS }).map(({ recipients }) => recipients),
    [[1]],
  )
})

test('after an attempt each recipient is done, or due again by the plan, and the trail says why', () => {
  const before = entry(at('bob', 'b.example'), at('nobody', 'b.example'), at('dave', 'd.example'))
  const after = conclude(
    before,
    new Map<number, Outcome>([
      [0, gone],
      [1, never],
      [2, later],
    ]),
    { plan: EXCHANGE_2003, now: 1000 },
  )
  assert.equal(after.revision, 1)
  assert.deepEqual(after.recipients, [
    { kind: 'done', at: 1000, outcome: gone },
    { kind: 'done', at: 1000, outcome: never },
    { kind: 'waiting', due: 1000 + 10 * MINUTE, attempts: 1, last: later, tried: 1000 },
  ])
  assert.deepEqual(
    after.trail.map(({ what }) => what),
    [
      '<bob@b.example> relayed to mail-b',
      '<nobody@b.example> failed: 550 5.1.1 no such user',
      '<dave@d.example> deferred: 450 later; next try in 10m',
    ],
  )
  assert.equal(dueAt(after), 1000 + 10 * MINUTE)
  assert.equal(isDone(after), false)
})

test('a recipient without an outcome stays as it was, and one who is done stays done', () => {
  const once = conclude(entry(at('bob', 'b.example'), at('dave', 'd.example')), new Map<number, Outcome>([[0, gone]]), {
    plan: EXCHANGE_2003,
    now: 1,
  })
  const twice = conclude(once, new Map<number, Outcome>([[0, never]]), { plan: EXCHANGE_2003, now: 2 })
  assert.deepEqual(twice.recipients, once.recipients)
})

test('mail that waits is tried at its very expiry once more, and then given up with the last reason', () => {
  let it = entry(at('bob', 'b.example'))
  const tries: number[] = []
  for (let now = dueAt(it); now !== undefined; now = dueAt(it)) {
    tries.push(now)
    it = conclude(it, new Map<number, Outcome>([[0, later]]), { plan: EXCHANGE_2003, now })
  }
  assert.deepEqual(
    tries.slice(0, 6).map(each => each / MINUTE),
    [0, 10, 20, 30, 45, 60],
  )
  assert.equal(tries.at(-1), 2 * DAY)
  const [state] = it.recipients
  assert.ok(state?.kind === 'done' && state.outcome.kind === 'failed')
  assert.deepEqual(state.outcome.by, {
    status: '5.4.7',
    why: 'not delivered in time; the last try: deferred: 450 later',
  })
})

test('nextTry() repeats the last wait, and never goes beyond the expiry', () => {
  const plan = { waits: [10, 20], expire: 100 }
  const next = (attempts: number, now: number) => nextTry(plan, { attempts, now, expires: 100 })
  assert.deepEqual([next(1, 0), next(2, 0), next(3, 0), next(99, 0)], [10, 20, 20, 20])
  assert.deepEqual([next(1, 95), next(1, 99), next(1, 100), next(1, 200)], [100, 100, undefined, undefined])
})

test('a trail keeps its beginning and its end, and does not grow for ever', () => {
  let it = entry()
  for (let i = 0; i < 1000; i++) it = noted(it, i, `note ${i}`)
  assert.equal(it.trail.length, MAX_NOTES)
  assert.deepEqual([it.trail[0]?.what, it.trail[9]?.what, it.trail.at(-1)?.what], ['note 0', 'note 9', 'note 999'])
})

const FACTS = {
  host: 'mail-a.a.example',
  id: 'R1',
  now: DAY,
  quoted: { what: 'header' as const, bytes: bytes('Subject: Are you there?\r\n') },
}

function done(it: SpoolEntry, ...outcomes: readonly Outcome[]): SpoolEntry {
  return conclude(it, new Map(outcomes.entries()), { plan: EXCHANGE_2003, now: 0 })
}

test('a report goes to the sender from <>, tells each failure once, and quotes no body', () => {
  const report = bounce(done(entry(at('bob', 'b.example'), at('nobody', 'b.example')), gone, never), FACTS)
  assert.equal(report?.envelope.from, null)
  assert.deepEqual(report?.envelope.recipients, [{ to: at('alice', 'a.example') }])
  const said = text(report?.body ?? bytes(''))
  assert.match(said, /^Final-Recipient: rfc822; nobody@b\.example\r$/m)
  assert.match(said, /^Action: failed\r\nStatus: 5\.1\.1\r\nDiagnostic-Code: smtp; 550 5\.1\.1 no such user\r$/m)
  assert.match(said, /^Subject: Are you there\?\r$/m)
  assert.ok(!said.includes('Final-Recipient: rfc822; bob@'))
  assert.match(said, /\r\n--report-R1--\r\n$/)
  assert.ok(!/(?<!\r)\n|\r(?!\n)/.test(said), 'every line ends with CRLF')
})

test('no report is owed while someone waits, to <>, to those who asked for none, or when nothing failed', () => {
  const one = entry(at('nobody', 'b.example'))
  assert.equal(bounce(one, FACTS), undefined)
  assert.equal(bounce(done(one, gone), FACTS), undefined)
  assert.equal(bounce(done(entry(at('nobody', 'b.example'), at('busy', 'b.example')), never, later), FACTS), undefined)
  assert.equal(bounce(done({ ...one, envelope: { ...one.envelope, from: null } }, never), FACTS), undefined)
  for (const [notify, owed] of [
    ['NEVER', false],
    ['SUCCESS,DELAY', false],
    ['SUCCESS,FAILURE', true],
  ] as const) {
    const asked = { ...one, envelope: { ...one.envelope, recipients: [{ to: at('nobody', 'b.example'), notify }] } }
    assert.equal(bounce(done(asked, never), FACTS) !== undefined, owed, notify)
  }
})

test('an MTA is shown as it was written, and reads back as the same', () => {
  const more = `dialect exchange2000 version 6.0.3790.1830
unknown-verb quote
listen 10.53.7.203
listen 10.53.7.204 port 587
login mail-b password-file secrets/mail-b.password
auth-without-tls
message-size 10m
queue retry 90s 10m 1h
queue expire 3d
routing-group A
connector-login A-to-B x-exps login mail-a password-file secrets/mail-a.password required
address-space A-to-C smtp *.c.example cost 5
`
  const config = read(TEXT + more)
  const plain = (each: MtaConfig) =>
    JSON.parse(JSON.stringify(each, (key, value) => (key === 'at' ? undefined : value)))
  const shown = show(MTA, config)
  assert.deepEqual(plain(read(shown)), plain(config))
  for (const line of more.trimEnd().split('\n')) assert.ok(shown.split('\n').includes(line), line)
  const undone = [
    'no listen 10.53.7.204 port 587',
    'no login mail-b',
    'no auth-without-tls',
    'no queue retry',
    'no connector-login A-to-B',
    'no connector A-to-C',
    'no unknown-verb quote',
    'no message-size 10m',
    'no mailbox ann@a.example',
    'no relay-from 10.53.7.0 255.255.255.0',
  ]
  const less = read(`${TEXT}${more}${undone.join('\n')}\n`)
  assert.deepEqual(less.retry, EXCHANGE_2003.waits)
  assert.deepEqual(plain(read(show(MTA, less))), plain(less))
  assert.deepEqual(
    [less.listens.length, less.logins.length, less.relayFrom.length, less.mailboxes.length],
    [1, 0, 0, 1],
  )
  assert.deepEqual(
    less.routing.connectors.map(({ name, login }) => [name, login]),
    [['A-to-B', undefined]],
  )
})

test('a line of an MTA that cannot be is refused with what could', () => {
  const wrong = (line: string) => parse(MTA, `${TEXT}${line}\n`, 'mta.conf').problems.map(({ message }) => message)
  assert.deepEqual(wrong('mailbox eve@e.example'), ['e.example is not a local domain'])
  assert.deepEqual(wrong('queue retry 10m soon'), ['"soon" is not a wait'])
  assert.deepEqual(wrong('connector X to Y cost 0 target 10.0.0.1'), ['0 is not a cost'])
  assert.deepEqual(wrong('address-space A-to-D smtp *'), ['no connector is called "A-to-D"'])
})

test('no way open: mail waits with the reason; a schedule says until when; another server of the group is no way of ours', () => {
  const config = read(`${TEXT}route-by link-state\nconnector-hold A-to-C\nconnector-source A-to-B other.a.example\n`)
  const here = { ...HERE, server: config.hostname }
  const ways = new RoutingService(organization(config.routing, here), config.routing, md5)
  const outcomes = batches(config, entry(at('carol', 'c.example'), at('bob', 'b.example')), 0, { ways }).map(batch =>
    batch.kind === 'nowhere' ? batch.outcome : batch.kind,
  )
  assert.deepEqual(outcomes, [
    { kind: 'deferred', by: { status: '4.4.7', why: 'connector A-to-C keeps it until it is fetched' }, until: 2 * DAY },
    {
      kind: 'deferred',
      by: { status: '4.4.4', why: 'the way leads by A-to-B at other.a.example, to which no connector leads' },
    },
  ])
})

test('whoever another way opened for is due at once, and nobody else', () => {
  const before = entry(at('bob', 'b.example'), at('carol', 'c.example'))
  const waiting: SpoolEntry = {
    ...before,
    recipients: [
      { kind: 'waiting', due: 100, attempts: 1 },
      { kind: 'waiting', due: 100, attempts: 1 },
    ],
  }
  const after = hastened(waiting, new Set([1]), 7)
  assert.deepEqual(
    after.recipients.map(state => state.kind === 'waiting' && state.due),
    [100, 7],
  )
  assert.equal(after.revision, 1)
  assert.equal(after.trail.at(-1)?.what, 'a way opened')
})

/** An entry as it is when it comes, with the time that its sender set. */
const timed = (envelope: Partial<SpoolEntry['envelope']>): SpoolEntry =>
  newEntry({
    id: 'T1',
    envelope: {
      from: at('alice', 'a.example'),
      recipients: [{ to: at('bob', 'b.example') }],
      smtputf8: false,
      body: '7bit',
      ...envelope,
    },
    at: 0,
    expire: 2 * 24 * 60 * MINUTE,
    what: 'received',
  })
const by = (minutes: number, mode: 'return' | 'notify') => ({ at: minutes * MINUTE, mode, trace: false })

test('a message that is held is due when it may go, and its days begin then', () => {
  const held = timed({ hold: 60 * MINUTE })
  assert.deepEqual(batches(CONFIG, held, 60 * MINUTE - 1, { ways: WAYS }), [])
  assert.equal(batches(CONFIG, held, 60 * MINUTE, { ways: WAYS }).length, 1)
  // Who asks for the mail of a domain does not ask for what is not to go yet.
  assert.deepEqual(batches(CONFIG, held, 0, { ways: WAYS, asked: new Set(['b.example']) }), [])
  assert.equal(held.expires, (60 + 2 * 24 * 60) * MINUTE)
  assert.equal(held.trail[1]?.what, 'held until 1970-01-01T01:00:00Z')
  // Nobody is late who was asked to wait.
  const [after] = [12 * 60 * MINUTE]
  assert.equal(isLate(held, { after, now: after }), false)
  assert.equal(isLate(held, { after, now: 13 * 60 * MINUTE }), true)
  const past = timed({ hold: -1 })
  assert.equal(batches(CONFIG, past, 0, { ways: WAYS }).length, 1)
})

test('what is to come back when its time is over is looked at then, not sent any more, and fails', () => {
  const entry = timed({ deliverBy: by(25, 'return') })
  assert.equal(entry.expires, 25 * MINUTE)
  const twice = [10, 20].reduce(
    (before, minute) => conclude(before, new Map([[0, later]]), { plan: EXCHANGE_2003, now: minute * MINUTE }),
    entry,
  )
  const [state] = twice.recipients
  assert.equal(state?.kind === 'waiting' && state.due, 25 * MINUTE)
  const [batch] = batches(CONFIG, twice, 25 * MINUTE, { ways: WAYS })
  assert.ok(batch?.kind === 'nowhere')
  assert.equal(sayOutcome(batch.outcome), 'failed: 5.4.7 it was not delivered by the time that its sender set')
})

test('of what is late its sender is told when its time is over, and it is tried on', () => {
  const entry = timed({ deliverBy: by(5, 'notify') })
  assert.equal(entry.expires, 2 * 24 * 60 * MINUTE)
  const once = conclude(entry, new Map([[0, later]]), { plan: EXCHANGE_2003, now: 0 })
  assert.equal(dueAt(once), 5 * MINUTE)
  assert.equal(isLate(once, { after: 0, now: 5 * MINUTE - 1 }), false)
  assert.equal(isLate(once, { after: 0, now: 5 * MINUTE }), true)
  // Told before that it is late, its sender is told of the time all the same, and once.
  assert.equal(isLate({ ...once, toldLate: 1 }, { after: 1, now: 4 * MINUTE }), false)
  assert.equal(isLate({ ...once, toldLate: 1 }, { after: 1, now: 5 * MINUTE }), true)
  assert.equal(isLate({ ...once, toldLate: 5 * MINUTE }, { after: 1, now: 6 * MINUTE }), false)
  const [batch] = batches(CONFIG, once, 5 * MINUTE, { ways: WAYS })
  assert.equal(batch?.kind, 'relay')
  const next = conclude(once, new Map([[0, later]]), { plan: EXCHANGE_2003, now: 5 * MINUTE })
  assert.equal(dueAt(next), 15 * MINUTE)
})
