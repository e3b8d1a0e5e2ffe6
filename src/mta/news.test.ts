import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RecipientState, SpoolEntry } from '../spool/entry.ts'
import { sayLogin, sayReceived, sayTried } from './news.ts'

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

const told = (state: RecipientState) => sayTried({ ...ENTRY, recipients: [state] }, [0], 5_000)

test('a message that was taken is one line: its id, its envelope, its kind, and where it came from', () => {
  assert.equal(
    sayReceived(ENTRY),
    'M1: received from <> for <bob@b.example> <"two words"@b.example>, 8bitmime smtputf8; received from client.example [192.0.2.7] by ESMTP',
  )
})

test('each outcome is one line', () => {
  const outcome = { kind: 'relayed', to: 'mail-b [192.0.2.9]', by: { code: 250, text: ['ok'] } } as const
  assert.deepEqual(told({ kind: 'done', at: 0, outcome }), [
    'M1: <bob@b.example> relayed to mail-b [192.0.2.9]: 250 ok',
  ])
  const failure = { kind: 'failed', by: { status: '5.6.3', why: 'it is binary' } } as const
  assert.deepEqual(told({ kind: 'done', at: 0, outcome: failure }), ['M1: <bob@b.example> bounced: 5.6.3 it is binary'])
  const last = { kind: 'deferred', by: { status: '4.4.1', why: 'nobody there' } } as const
  assert.deepEqual(told({ kind: 'waiting', due: 65_000, attempts: 1, last }), [
    'M1: <bob@b.example> deferred: 4.4.1 nobody there; next try in 1m',
  ])
})

test('a login is one line, and one that failed says why', () => {
  assert.equal(sayLogin('192.0.2.7', { mechanism: 'PLAIN', user: 'bob' }), '[192.0.2.7] logged in as bob by PLAIN')
  assert.equal(
    sayLogin('192.0.2.7', { mechanism: 'LOGIN', user: 'b\u001bob', why: 'not the password' }),
    '[192.0.2.7] did not log in as b?ob by LOGIN: not the password',
  )
})

test('nothing that a terminal obeys comes through', () => {
  const outcome = { kind: 'failed', by: { status: '5.0.0', why: 'a\u001b[2Jb\nM2: \u009bc' } } as const
  assert.deepEqual(told({ kind: 'done', at: 0, outcome }), ['M1: <bob@b.example> bounced: 5.0.0 a?[2Jb?M2: ?c'])
})
