import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from '../config/parse.ts'
import { acceptRecipient, isLocal, mailboxFor } from './acceptance.ts'
import { MTA } from './commands.ts'
import type { MtaConfig } from './config.ts'

const CLOSED = `hostname mail-a.a.example
local-domain a.example
mailbox alice@a.example
mailbox ann@a.example
connector A-to-B to B cost 1 target 10.54.7.10
address-space A-to-B smtp b.example
`
const OPEN_TO_LAN = `${CLOSED}relay-from 10.53.7.0 255.255.255.0\n`

function read(config: string): MtaConfig {
  const { config: parsed, problems } = parse(MTA, config, 'mta.conf')
  assert.deepEqual(problems, [])
  return parsed
}

/** `alice@a.example`, or a bare local part. */
function mailbox(address: string) {
  const [local = '', domain = ''] = address.split('@')
  return { local, domain }
}

function ask(config: string, to: string, { peer = '192.0.2.7', login }: { peer?: string; login?: string } = {}) {
  const answer = acceptRecipient(read(config), { about: 'rcpt', from: null, to: mailbox(to), peer, login })
  return 'no' in answer ? answer.no : 'yes' in answer ? 'yes' : answer
}

test('relaying is closed unless a line opens it, from inside as from anywhere', () => {
  for (const peer of ['192.0.2.7', '10.53.7.50', '127.0.0.1', '::1']) {
    assert.equal(ask(CLOSED, 'bob@b.example', { peer }), 'relay-refused', peer)
  }
})

test('relay-from takes an IPv6 network by the length of its prefix, in any spelling', () => {
  const open = `${CLOSED}relay-from 2001:DB8:0:1::/64\n`
  for (const peer of ['2001:db8:0:1::9', '2001:db8:0:1:ffff::'])
    assert.equal(ask(open, 'bob@b.example', { peer }), 'yes', peer)
  for (const peer of ['2001:db8:0:2::9', '::1', '10.53.7.50'])
    assert.equal(ask(open, 'bob@b.example', { peer }), 'relay-refused', peer)
})

test('relay-from opens it to the addresses of its network, and to no others', () => {
  const from = (peer: string) => ask(OPEN_TO_LAN, 'bob@b.example', { peer })
  assert.deepEqual(['10.53.7.0', '10.53.7.255'].map(from), ['yes', 'yes'])
  assert.deepEqual(
    ['10.53.6.255', '10.53.8.0', '110.53.7.1', '::ffff:10.53.7.50'].map(from),
    Array(4).fill('relay-refused'),
  )
})

test('a login opens it from anywhere', () => {
  assert.equal(ask(CLOSED, 'bob@b.example', { login: 'mail-b' }), 'yes')
})

test('who may relay still may not where no route leads', () => {
  assert.equal(ask(OPEN_TO_LAN, 'x@elsewhere.example', { peer: '10.53.7.50' }), 'relay-refused')
  assert.equal(ask(CLOSED, 'x@elsewhere.example', { login: 'mail-b' }), 'relay-refused')
})

test('mail to us is taken from anybody, whatever case it is written in', () => {
  assert.equal(ask(CLOSED, 'alice@a.example'), 'yes')
  assert.equal(ask(CLOSED, 'ALICE@A.Example'), 'yes')
})

test('a mailbox that is not there is refused, even to who may relay', () => {
  assert.equal(ask(CLOSED, 'eve@a.example'), 'no-such-user')
  assert.equal(ask(OPEN_TO_LAN, 'eve@a.example', { peer: '10.53.7.50', login: 'mail-b' }), 'no-such-user')
})

test('a domain below ours, or one that ends as ours does, is not ours', () => {
  for (const to of ['alice@x.a.example', 'alice@aa.example', 'alice@a.example.org']) {
    assert.equal(ask(CLOSED, to), 'relay-refused', to)
  }
})

test('a route written into the local part opens nothing: the domain behind the @ decides', () => {
  assert.equal(ask(CLOSED, 'bob%b.example@a.example'), 'relay-refused')
  assert.equal(ask(CLOSED, 'b.example!bob@a.example'), 'relay-refused')
  // Where somebody is really called so, it is a name like any other.
  assert.equal(ask(`${CLOSED}mailbox 100%@a.example\n`, '100%@a.example'), 'yes')
})

test('postmaster is taken with our domain and without any, and is the first mailbox', () => {
  for (const to of ['postmaster', 'PostMaster', 'postmaster@a.example']) {
    assert.equal(ask(CLOSED, to), 'yes', to)
    assert.deepEqual(mailboxFor(read(CLOSED), mailbox(to)), mailbox('alice@a.example'), to)
  }
  assert.equal(ask(CLOSED, 'postmaster@b.example'), 'relay-refused')
})

test('a postmaster with a mailbox of his own gets his mail there', () => {
  const own = read(`${CLOSED}mailbox postmaster@a.example\n`)
  assert.deepEqual(mailboxFor(own, mailbox('Postmaster@a.example')), mailbox('postmaster@a.example'))
})

test('nobody else without a domain is ours', () => {
  assert.equal(isLocal(read(CLOSED), mailbox('alice')), false)
  assert.equal(ask(CLOSED, 'alice', { login: 'mail-b' }), 'relay-refused')
})
