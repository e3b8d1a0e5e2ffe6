import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RecipientState, SpoolEntry } from '../spool/entry.ts'
import { factsOf, MAX_FACT, MAX_NAMED, type MessageNews, type MtaEvent, sayEvent, trailed, triedNews } from './news.ts'

const ENTRY: SpoolEntry = {
  id: 'M1',
  revision: 1,
  arrived: 0,
  expires: 1000,
  envelope: {
    from: null,
    recipients: [{ to: { local: 'bob', domain: 'b.example' } }, { to: { local: 'two words', domain: 'b.example' } }],
    smtputf8: true,
    body: '8bitmime',
  },
  size: 3,
  recipients: [],
  trail: [{ at: 0, what: 'received from client.example [192.0.2.7] by ESMTP' }],
}

const RECEIVED: MessageNews & { readonly kind: 'received' } = {
  kind: 'received',
  facts: { hello: 'client.example', peer: '192.0.2.7', protocol: 'ESMTP', login: undefined, tls: undefined },
  size: 120,
  messageId: 'x@client.example',
}

const about = (news: MessageNews, entry = ENTRY): MtaEvent => ({ kind: 'message', entry, news })

/** What an attempt for the first recipient came to, when it stands so afterwards. */
function tried(state: RecipientState, hop?: string): MtaEvent {
  const entry = { ...ENTRY, recipients: [state] }
  const outcome = state.kind === 'done' ? state.outcome : state.last
  assert.ok(outcome)
  return about(triedNews(entry, 0, { outcome, hop, now: 5_000 }), entry)
}

const RELAYED: RecipientState = {
  kind: 'done',
  at: 0,
  outcome: { kind: 'relayed', to: 'mail-b [192.0.2.9]', by: { code: 250, text: ['ok'] } },
}
const DEFERRED: RecipientState = {
  kind: 'waiting',
  due: 65_000,
  attempts: 1,
  last: { kind: 'deferred', by: { status: '4.4.1', why: 'nobody there' } },
}

test('a message that was taken is one line: its id, its envelope, its kind, and where it came from', () => {
  assert.equal(
    sayEvent(about(RECEIVED)),
    'M1: received from <> for <bob@b.example> <"two words"@b.example>, 8bitmime smtputf8; received from client.example [192.0.2.7] by ESMTP',
  )
})

test('each outcome is one line', () => {
  assert.equal(sayEvent(tried(RELAYED)), 'M1: <bob@b.example> relayed to mail-b [192.0.2.9]: 250 ok')
  const failure = { kind: 'failed', by: { status: '5.6.3', why: 'it is binary' } } as const
  assert.equal(
    sayEvent(tried({ kind: 'done', at: 0, outcome: failure })),
    'M1: <bob@b.example> failed: 5.6.3 it is binary',
  )
  assert.equal(sayEvent(tried(DEFERRED)), 'M1: <bob@b.example> deferred: 4.4.1 nobody there; next try in 1m')
})

test('the trail says what the log says', () => {
  for (const event of [tried(RELAYED), tried(DEFERRED), about({ kind: 'reported', what: 'end', by: 'M2' })]) {
    assert.ok(event.kind === 'message')
    const { trail } = trailed(event.entry, event.news, 5_000)
    assert.equal(`M1: ${trail.at(-1)?.what}`, sayEvent(event))
  }
})

test('the same as facts: queue id and Message-ID, peer, next hop, reply, and when it is tried again', () => {
  assert.deepEqual(factsOf(about(RECEIVED)), {
    event: 'received',
    queue: 'M1',
    messageId: 'x@client.example',
    from: '',
    to: ['bob@b.example', '"two words"@b.example'],
    recipients: 2,
    size: 120,
    body: '8bitmime',
    peer: '192.0.2.7',
    hello: 'client.example',
    protocol: 'ESMTP',
    login: undefined,
    tls: undefined,
  })
  assert.deepEqual(factsOf(tried(RELAYED, 'connector B')), {
    event: 'tried',
    queue: 'M1',
    to: 'bob@b.example',
    outcome: 'relayed',
    hop: 'connector B',
    peer: 'mail-b [192.0.2.9]',
    reply: '250 ok',
    next: undefined,
    age: 0,
  })
  const { why, status, next } = factsOf(tried(DEFERRED)) as Record<string, unknown>
  assert.deepEqual({ why, status, next }, { why: 'nobody there', status: '4.4.1', next: 60 })
})

test('a message to thousands, and a peer that talks without end, make lines of a bounded length', () => {
  const recipients = Array.from({ length: 5_000 }, (_, i) => ({ to: { local: `u${i}`, domain: 'b.example' } }))
  const many = { ...ENTRY, envelope: { ...ENTRY.envelope, recipients } }
  const facts = factsOf(about({ ...RECEIVED, messageId: 'x'.repeat(100_000) }, many))
  assert.equal((facts.to as readonly string[]).length, MAX_NAMED)
  assert.equal(facts.recipients, 5_000)
  assert.ok((facts.messageId as string).length <= MAX_FACT + 1)
  const outcome = { kind: 'failed', by: { code: 554, text: ['y'.repeat(100_000)] } } as const
  assert.ok(JSON.stringify(factsOf(tried({ kind: 'done', at: 0, outcome }))).length < 2 * MAX_FACT)
})

test('a login is one line, and one that failed says why', () => {
  const login = { kind: 'login', peer: '192.0.2.7' } as const
  assert.equal(sayEvent({ ...login, mechanism: 'PLAIN', user: 'bob' }), '[192.0.2.7] logged in as bob by PLAIN')
  assert.equal(
    sayEvent({ ...login, mechanism: 'LOGIN', user: 'b\u001bob', why: 'not the password' }),
    '[192.0.2.7] did not log in as b?ob by LOGIN: not the password',
  )
})

test('nothing that a terminal obeys comes through', () => {
  const outcome = { kind: 'failed', by: { status: '5.0.0', why: 'a\u001b[2Jb\nM2: \u009bc' } } as const
  assert.equal(sayEvent(tried({ kind: 'done', at: 0, outcome })), 'M1: <bob@b.example> failed: 5.0.0 a?[2Jb?M2: ?c')
  assert.equal(factsOf(tried({ kind: 'done', at: 0, outcome })).why, 'a?[2Jb?M2: ?c')
})
