import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, anyOctets, cut, runs } from '../base/any-bytes.test.ts'
import { bytes, text, utf8 } from '../base/bytes.ts'
import type { Envelope } from '../mail/envelope.ts'
import { wish } from '../smtp/any-login.test.ts'
import { MAX_SAID } from '../smtp/reply.ts'
import { type Outcome, sayOutcome } from '../spool/entry.ts'
import { Attempt, type AttemptOutput, type Order } from './attempt.ts'
import { classify } from './classify.ts'

const MESSAGE = 'Subject: hi\r\n\r\n.dot\r\n'
const ENVELOPE: Envelope = {
  from: { local: 'alice', domain: 'a.example' },
  recipients: [{ to: { local: 'bob', domain: 'b.example' } }, { to: { local: 'carol', domain: 'b.example' } }],
  smtputf8: false,
  body: '7bit',
}
const ORDER: Order = {
  hello: 'mail-a.a.example',
  to: 'mail-b',
  envelope: ENVELOPE,
  recipients: [0, 1],
  size: MESSAGE.length,
  outcome: 'relayed',
}

interface Run {
  readonly attempt: Attempt
  readonly outcomes: Map<number, Outcome>
  /** Everything that happened, in order: `C: …` for what was written. */
  readonly said: string[]
  hear(said: string | Uint8Array): void
  perform(outputs: readonly AttemptOutput[]): void
}

/** `body`: hand the message in when it is wanted; otherwise the test does. */
function run(order: Order = ORDER, { body = true }: { readonly body?: boolean } = {}): Run {
  const attempt = new Attempt(order, { trace: false })
  const outcomes = new Map<number, Outcome>()
  const said: string[] = []
  const perform = (outputs: readonly AttemptOutput[]): void => {
    for (const output of outputs) {
      if (output.kind === 'write') said.push(`C: ${text(output.bytes)}`)
      else if (output.kind === 'outcome') {
        assert.ok(!outcomes.has(output.recipient), 'a recipient has one outcome')
        assert.ok(!said.includes('done'), 'no outcome comes behind the end')
        outcomes.set(output.recipient, output.outcome)
      } else said.push(output.kind)
      if (output.kind === 'want-body' && body) {
        perform(attempt.body(bytes(MESSAGE), 0))
        perform(attempt.endBody(0))
      }
    }
  }
  perform(attempt.open(0))
  const hear = (octets: string | Uint8Array): void =>
    perform(attempt.receive(typeof octets === 'string' ? bytes(octets) : octets, 0))
  return { attempt, outcomes, said, hear, perform }
}

const outcome = ({ outcomes }: Run, recipient = 0): string => {
  const found = outcomes.get(recipient)
  return found ? sayOutcome(found) : 'none'
}

const WORDS = [
  ...[
    '220 mx\r\n',
    '250 ok\r\n',
    '354 go\r\n',
    '334 VXNlcm5hbWU6\r\n',
    '235 in\r\n',
    '550 5.1.1 no\r\n',
    '450 later\r\n',
  ],
  ...['421 bye\r\n', '221 bye\r\n', '250-a\r\n', '\r\n', 'x', '250-mx\r\n250-PIPELINING\r\n250 SIZE 100\r\n'],
]
const LOGIN_WORDS = ['334 VXNlcm5hbWU6\r\n', '334 UGFzc3dvcmQ6\r\n', '235 in\r\n']
const OK = '250 ok\r\n'
/** What a server says that takes everything, by what it offers. */
const SCRIPTS: readonly (readonly string[])[] = [
  ['250-mx\r\n250 8BITMIME\r\n', OK, OK, OK, '354 go\r\n', OK, '221 bye\r\n'],
  ['250-mx\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 SIZE 100\r\n', OK, OK, OK, '354 go\r\n', OK, '221 bye\r\n'],
  ['250-mx\r\n250-8BITMIME\r\n250 CHUNKING\r\n', OK, OK, OK, OK, '221 bye\r\n'],
  [
    '250-mx\r\n250-8BITMIME\r\n250-X-EXPS LOGIN\r\n250-PIPELINING\r\n250 CHUNKING\r\n',
    ...LOGIN_WORDS,
    OK,
    OK,
    OK,
    OK,
    '221 bye\r\n',
  ],
  ['500 what?\r\n', '250 mx\r\n', OK, OK, OK, '354 go\r\n', OK, '221 bye\r\n'],
]

/** A server that keeps to its script but for a few words that it changes, leaves out or puts in; or any octets at all. */
const anyServer: fc.Arbitrary<Uint8Array> = fc.oneof(
  anyOctets(...WORDS, ...SCRIPTS.map(([hello = '']) => hello)),
  fc
    .tuple(
      fc.constantFrom(...SCRIPTS),
      fc.array(fc.tuple(fc.nat(12), fc.nat(1), fc.array(fc.constantFrom(...WORDS), { maxLength: 2 })), {
        maxLength: 2,
      }),
    )
    .map(([script, edits]) => {
      const said = [...script]
      for (const [at, gone, words] of edits) said.splice(at, gone, ...words)
      return bytes(said.join(''))
    }),
)
const anyOrder: fc.Arbitrary<Order> = fc
  .record({
    login: fc.constantFrom(
      undefined,
      wish({
        verb: 'x-exps',
        user: 'u',
        password: 'p',
        required: true,
        by: 'me',
      }),
    ),
    body: fc.constantFrom<Envelope['body']>('7bit', '8bitmime'),
  })
  .map(({ login, body }) => ({ ...ORDER, envelope: { ...ENVELOPE, body }, ...(login && { login }) }))

test('whatever a server says and when it stops, every recipient has exactly one outcome', () => {
  fc.assert(
    fc.property(fc.boolean(), anyServer, anyCuts, anyOrder, (greets, octets, cuts, order) => {
      const it = run(order)
      if (greets) it.hear('220 mx\r\n')
      for (const piece of cut(octets, cuts)) if (!it.said.includes('close')) it.hear(piece)
      if (!it.said.includes('close')) it.perform(it.attempt.end(0))
      assert.deepEqual([...it.outcomes.keys()].toSorted(), [0, 1])
      assert.equal(it.said.filter(each => each === 'done').length, 1)
      assert.equal(it.said.filter(each => each === 'close').length, 1)
      assert.equal(it.said.at(-1), 'close')
      assert.deepEqual([it.attempt.end(0), it.attempt.receive(bytes('250 ok\r\n'), 0)].flat(), [])
    }),
    runs(3000),
  )
})

/** One reply at a time, as a server speaks that waits for its turn. */
function replies(octets: Uint8Array): readonly string[] {
  return (
    text(octets)
      .match(/(?:\d{3}-[^\n]*\n)*[^\n]*\n?/g)
      ?.filter(each => each !== '') ?? []
  )
}

test('nothing counts as relayed that was not sent whole, to whom it was said, with the login that is required', () => {
  let relayed = 0
  fc.assert(
    fc.property(anyServer, anyOrder, (octets, order) => {
      const it = run(order)
      it.hear('220 mx\r\n')
      for (const reply of replies(octets)) {
        if (it.said.includes('close')) break
        const before = it.said.join('')
        it.hear(reply)
        const gone = [...it.outcomes].filter(([, { kind }]) => kind === 'relayed')
        if (gone.length === 0) continue
        relayed++
        assert.ok(
          before.endsWith('C: .\r\n') || before.endsWith(`BDAT ${MESSAGE.length} LAST\r\nwant-bodyC: ${MESSAGE}`),
          before,
        )
        for (const [recipient] of gone) assert.ok(before.includes(recipient === 0 ? 'TO:<bob@' : 'TO:<carol@'))
        if (order.login) assert.ok(before.includes('C: X-EXPS LOGIN\r\n'), before)
        break
      }
    }),
    runs(3000),
  )
  assert.ok(relayed > 300, `only ${relayed} of the dialogues relayed anything`)
})

test('without a login that is required no MAIL is ever said', () => {
  const login = wish({ verb: 'x-exps', user: 'u', password: 'p', required: true, by: 'connector A-to-B' })
  let said = 0
  fc.assert(
    fc.property(anyServer, octets => {
      const it = run({ ...ORDER, login })
      it.hear('220 mx\r\n')
      let loggedIn = false
      for (const reply of replies(octets)) {
        if (it.said.includes('close')) break
        loggedIn ||= reply.startsWith('235') && it.said.includes('C: X-EXPS LOGIN\r\n')
        it.hear(reply)
      }
      if (!it.said.some(each => each.startsWith('C: MAIL'))) return
      said++
      assert.ok(loggedIn)
    }),
    runs(1000),
  )
  assert.ok(said > 50, `MAIL was said only ${said} times`)
  const it = run({ ...ORDER, login })
  it.hear('220 mx\r\n')
  it.hear('250-mx\r\n250 AUTH LOGIN\r\n')
  assert.equal(
    outcome(it),
    'deferred: 4.7.0 connector A-to-B requires X-EXPS, which is not offered: it is not in the EHLO list',
  )
})

test('a login that is not required is left out where it is not to be had', () => {
  const it = run({ ...ORDER, login: wish({ verb: 'auth', user: 'u', password: 'p', required: false, by: 'me' }) })
  it.hear('220 mx\r\n')
  it.hear('250 mx\r\n')
  assert.deepEqual(it.said.slice(-1), ['C: MAIL FROM:<alice@a.example>\r\n'])
})

/** As far as the chunk, which the test itself hands in. */
function atChunk(): Run {
  const it = run(ORDER, { body: false })
  for (const said of ['220 mx\r\n', '250-mx\r\n250 CHUNKING\r\n', '250 ok\r\n', '250 ok\r\n', '250 ok\r\n'])
    it.hear(said)
  assert.deepEqual(it.said.slice(-2), [`C: BDAT ${MESSAGE.length} LAST\r\n`, 'want-body'])
  it.perform(it.attempt.body(bytes('Subject: hi\r\n'), 0))
  return it
}

test('a yes in the middle of a chunk is no yes to the message, and no QUIT goes into the chunk', () => {
  const it = atChunk()
  it.hear('250 queued\r\n')
  assert.equal(outcome(it), 'deferred: 4.5.0 answered before the message was over: 250 queued')
  assert.deepEqual(it.said.slice(-3), ['C: Subject: hi\r\n', 'done', 'close'])
})

test('a no in the middle of a chunk is a no', () => {
  const it = atChunk()
  it.hear('552 5.3.4 too big\r\n')
  assert.equal(outcome(it), 'failed: 552 5.3.4 too big')
  assert.deepEqual(it.said.slice(-2), ['done', 'close'])
})

test('a message that cannot be read is not ended, so that nobody takes half of it for the whole', () => {
  const it = atChunk()
  it.perform(it.attempt.abandon({ status: '4.3.0', why: 'the disk is gone' }))
  assert.equal(outcome(it, 1), 'deferred: 4.3.0 the disk is gone')
  assert.deepEqual(it.said.slice(-3), ['C: Subject: hi\r\n', 'done', 'close'])
})

test('a server that says nothing is waited for as RFC 5321 §4.5.3.2 has it', () => {
  const attempt = new Attempt(ORDER, { trace: false })
  attempt.open(1000)
  const waits: (number | undefined)[] = [attempt.deadline]
  for (const said of ['220 mx', '250 mx', '250 ok', '250 ok', '250 ok', '354 go']) {
    attempt.receive(bytes(`${said}\r\n`), 1000)
    waits.push(attempt.deadline)
  }
  attempt.endBody(2000)
  waits.push(attempt.deadline)
  const minutes = (count: number, from = 1000) => from + count * 60_000
  assert.deepEqual(waits, [...[5, 5, 5, 5, 5, 2].map(each => minutes(each)), undefined, minutes(10, 2000)])
})

test('a session that does not come about says nothing about the message: 5xx or not, it waits', () => {
  for (const said of ['554 no service\r\n', '220 mx\r\n502 no\r\n']) {
    const it = run()
    for (const line of said.match(/.*\r\n/g) ?? []) it.hear(line)
    if (said.startsWith('220')) it.hear('550 no HELO either\r\n')
    assert.equal(it.outcomes.get(0)?.kind, 'deferred', said)
  }
})

test('classify() takes 2xx for theirs, 5xx for never, and all else for later', () => {
  const kinds = [250, 251, 354, 421, 450, 550, 599].map(
    code => classify({ code, text: [] }, { to: 'x', kind: 'delivered' }).kind,
  )
  assert.deepEqual(kinds, ['delivered', 'delivered', 'deferred', 'deferred', 'deferred', 'failed', 'failed'])
})

/** As far as a group of MAIL, both RCPT and DATA. */
function atGroup(): Run {
  const it = run()
  for (const said of ['220 mx\r\n', '250-mx\r\n250 PIPELINING\r\n']) it.hear(said)
  assert.equal(it.said.at(-1), 'C: DATA\r\n')
  return it
}

test('of what a server says without end only the beginning is kept, for each recipient; what is UTF-8 is read so', () => {
  const long = Array.from({ length: 90 }, (_, i) => `450${i < 89 ? '-' : ' '}4.7.1 ${'y'.repeat(600)}\r\n`).join('')
  const it = atGroup()
  it.hear(`250 ok\r\n${long}`)
  it.hear(Buffer.from('550 5.1.1 Nuñez ist nicht da\r\n'))
  assert.ok(JSON.stringify(it.outcomes.get(0)).length < 2 * MAX_SAID)
  assert.equal(outcome(it, 1), 'failed: 550 5.1.1 Nuñez ist nicht da')
  const other = run()
  other.hear(`220-${'y'.repeat(4_000)}\r\n250 ${'z'.repeat(4_000)}\r\n`)
  assert.ok(JSON.stringify(other.outcomes.get(0)).length < 2 * MAX_SAID)
})

test('a SIZE that is no number is no limit', () => {
  for (const [said, kind] of [
    ['-1', 'relayed'],
    ['1e1', 'relayed'],
    ['0x1', 'relayed'],
    ['', 'relayed'],
    ['10', 'failed'],
  ] as const) {
    const it = run()
    for (const line of ['220 mx', `250-mx\r\n250 SIZE ${said}`, '250 ok', '250 ok', '250 ok', '354 go', '250 queued'])
      if (!it.outcomes.has(0)) it.hear(`${line}\r\n`)
    assert.equal(it.outcomes.get(0)?.kind, kind, said)
  }
})

test('what a server says behind its 421 is heard by nobody, and the connection is closed once', () => {
  for (const behind of ['250 ok\r\n250 ok\r\n354 go\r\n', 'garbage\r\n', '421 again\r\n']) {
    const it = atGroup()
    it.hear(`421 bye\r\n${behind}`)
    assert.equal(outcome(it, 1), 'deferred: 421 bye')
    assert.deepEqual(it.said.slice(-3), ['C: DATA\r\n', 'done', 'close'], behind)
  }
})

test('a recipient who was taken after a refused sender was not taken: a lone dot is sent, and nobody has the message', () => {
  const it = atGroup()
  it.hear('550 5.7.1 not you\r\n250 ok\r\n250 ok\r\n354 go\r\n')
  it.hear('250 queued\r\n221 bye\r\n')
  assert.deepEqual([outcome(it, 0), outcome(it, 1)], ['failed: 550 5.7.1 not you', 'failed: 550 5.7.1 not you'])
  assert.ok(it.said.includes('C: .\r\n') && !it.said.includes('want-body'))
})

test('once it is done it hears, sees and does nothing more', () => {
  const it = run()
  it.hear('334 what?\r\n')
  it.hear('250 an odd answer to QUIT\r\n')
  assert.deepEqual(it.said, ['answered', 'C: QUIT\r\n', 'done', 'close'])
  assert.deepEqual([it.attempt.end(1), it.attempt.tick(1e9), it.attempt.receive(bytes('x\r\n'), 1)], [[], [], []])
})

const UNPROVEN = { protocol: 'TLSv1.3', cipher: '', unproven: 'it is self-signed' }

test('under TLS from the first octet on a certificate that proves nothing is asked about before a word is said', () => {
  for (const floor of ['verify', 'pinned'] as const) {
    const { hear, said, outcomes } = run({ ...ORDER, tls: { floor, by: 'connector B', facts: UNPROVEN } })
    hear('220 mail-b\r\n')
    assert.deepEqual(said, ['answered', 'C: QUIT\r\n'])
    assert.deepEqual(
      [...outcomes.values()].map(sayOutcome),
      Array(2).fill('deferred: 4.7.5 connector B requires a proven certificate: it is self-signed'),
    )
  }
  const { hear, said } = run({ ...ORDER, tls: { floor: 'require', by: 'connector B', facts: UNPROVEN } })
  hear('220 mail-b\r\n')
  assert.deepEqual(said, ['answered', 'C: EHLO mail-a.a.example\r\n'])
})

test('a message that requires TLS waits where nobody vouches for the server, however well it proves its name', () => {
  const proven = { protocol: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' }
  const tls = { floor: 'may', by: 'connector out', isHearsay: true, facts: proven } as const
  const { hear, said, outcomes } = run({ ...ORDER, tls, envelope: { ...ENVELOPE, requireTls: true } })
  hear('220 mail-b\r\n')
  assert.deepEqual(said, ['answered', 'C: QUIT\r\n'])
  for (const each of outcomes.values())
    assert.match(sayOutcome(each), /^deferred: 4\.7\.5 the message \(REQUIRETLS\) requires a server that DNSSEC/)
  const other = run({ ...ORDER, tls })
  other.hear('220 mail-b\r\n')
  assert.deepEqual(other.said, ['answered', 'C: EHLO mail-a.a.example\r\n'])
})

test('a report that is to go under TLS waits for a session of its own where TLS was not asked for, and goes where there is none', () => {
  const tls = { floor: 'none', by: 'x' } as const
  for (const [offer, said] of [
    ['STARTTLS', 'outcome, outcome, idle'],
    ['DSN', 'write'],
  ] as const) {
    const attempt = new Attempt({ ...ORDER, tls }, { trace: false, keep: true })
    attempt.open(0)
    for (const each of ['220 mail-b\r\n', `250-mail-b\r\n250 ${offer}\r\n`, '550 5.7.1 no\r\n'])
      attempt.receive(bytes(each), 0)
    const next = attempt.next({ ...ORDER, tls, envelope: { ...ENVELOPE, from: null, requireTls: true } }, 0)
    assert.equal(next.map(({ kind }) => kind).join(', '), said, offer)
  }
})

test('a message that requires TLS waits in a session that was begun for one that does not', () => {
  for (const tls of [{ floor: 'none', by: 'x' } as const, { floor: 'none', by: 'x', facts: UNPROVEN } as const]) {
    const attempt = new Attempt({ ...ORDER, tls }, { trace: false, keep: true })
    attempt.open(0)
    const said = (octets: string): readonly AttemptOutput[] => attempt.receive(bytes(octets), 0)
    said('220 mail-b\r\n')
    said('250-mail-b\r\n250 REQUIRETLS\r\n')
    said('550 5.7.1 no\r\n')
    const next = attempt.next({ ...ORDER, tls, envelope: { ...ENVELOPE, requireTls: true } }, 0)
    const outcomes = next.flatMap(each => (each.kind === 'outcome' ? [sayOutcome(each.outcome)] : []))
    assert.equal(outcomes.length, 2)
    for (const each of outcomes) assert.match(each, /^deferred: 4\.7\.[05] the message \(REQUIRETLS\) requires /)
    assert.equal(next.at(-1)?.kind, 'idle')
    assert.ok(!next.some(each => each.kind === 'write'))
  }
})

test('a greeting is waited for no longer where others need the connection; once it came that makes no difference', () => {
  const why = { status: '4.4.1', why: 'not waited for' }
  const silent = run()
  silent.perform(silent.attempt.impatient(why))
  assert.deepEqual([...silent.outcomes.values()].map(sayOutcome), Array(2).fill('deferred: 4.4.1 not waited for'))
  assert.deepEqual(silent.said, ['done', 'close'])
  const elsewhere = run({ ...ORDER, elsewhere: true })
  elsewhere.hear('220-mail-b says hel')
  elsewhere.perform(elsewhere.attempt.impatient(why))
  assert.deepEqual(elsewhere.said, ['elsewhere', 'done', 'close'])
  const there = run()
  there.hear('220 mail-b\r\n')
  assert.deepEqual(there.attempt.impatient(why), [])
})

test('an address of ours outside ASCII is said in A-labels where the message has no SMTPUTF8, and else as it stands', () => {
  const recipients = [{ to: { local: 'bob', domain: 'bücher.example' } }]
  for (const [smtputf8, said] of [
    [false, 'xn--bcher-kva.example'],
    [true, 'bücher.example'],
  ] as const) {
    const it = run({ ...ORDER, recipients: [0], envelope: { ...ENVELOPE, recipients, smtputf8 } })
    for (const reply of ['220 mx\r\n', '250-mx\r\n250 SMTPUTF8\r\n', OK]) it.hear(reply)
    assert.equal(it.said.at(-1), `C: ${text(utf8(`RCPT TO:<bob@${said}>`))}\r\n`)
  }
})
