import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sayOutcome } from '../spool/entry.ts'
import { exchangersOf, interleave, isOwnDoor, literalAddress, MOST_EXCHANGERS, unaddressed } from './exchangers.ts'
import type { DnsAnswer, Records } from './resolver.ts'

const found = (...records: readonly (readonly [number, string])[]): DnsAnswer<Records['MX']> => ({
  kind: 'found',
  records: records.map(([preference, host]) => ({ preference, host })),
  isSecure: false,
})

let drawn = 0
const options = {
  isOwn: (host: string) => host === 'mail-a.a.example',
  random: () => new Uint8Array([0, drawn++ % 256]),
}

const said = (answer: DnsAnswer<Records['MX']>) => {
  const all = exchangersOf('b.example', answer, options)
  return all.kind === 'hosts' ? all.hosts.join(' ') : sayOutcome(all.outcome)
}

test('servers are tried by their preference, and those of one preference in an order of chance', () => {
  assert.equal(
    said(found([20, 'C.b.example'], [5, 'a.b.example'], [10, 'b.b.example'])),
    'a.b.example b.b.example c.b.example',
  )
  const lots = [[3], [1], [2]].map(([lot = 0]) => new Uint8Array([0, lot]))
  const all = exchangersOf('b.example', found([10, 'one'], [10, 'two'], [10, 'three']), {
    ...options,
    random: () => lots.shift() ?? new Uint8Array(2),
  })
  assert.deepEqual('hosts' in all && all.hosts, ['two', 'three', 'one'])
})

test('our own name in the list leaves out ourselves and all that are not better', () => {
  const all = found([10, 'mx1'], [20, 'mail-a.a.example'], [20, 'mx2'], [30, 'mx3'])
  assert.equal(said(all), 'mx1')
  assert.match(said(found([10, 'mail-a.a.example'], [10, 'mx2'])), /^failed: 5\.4\.6 .* comes back to us/)
})

test('no MX means the domain itself; a null MX means never; no domain means never; no answer means later', () => {
  assert.equal(said({ kind: 'empty', isSecure: false }), 'b.example')
  assert.match(said(found([0, ''])), /^failed: 5\.1\.10 b\.example takes no mail/)
  // One among others is none (RFC 7505 §3).
  assert.equal(said(found([0, ''], [10, 'mx'])), 'mx')
  assert.match(said({ kind: 'no-such-name', isSecure: false }), /^failed: 5\.1\.2 /)
  assert.match(said({ kind: 'failed', why: 'SERVFAIL' }), /^deferred: 4\.4\.3 .*SERVFAIL/)
})

test('a domain can name as many servers as it likes; so many are looked at', () => {
  const many = found(...Array.from({ length: 500 }, (_, i) => [i, `mx${i}`] as const))
  assert.equal(said(many).split(' ').length, MOST_EXCHANGERS)
})

test('of names outside ASCII, which the DNS has not, no more are read than are looked at', t => {
  const normalize = t.mock.method(String.prototype, 'normalize')
  const many = found(...Array.from({ length: 500 }, (_, i) => [i, `mü${i}`] as const))
  assert.equal(said(many).split(' ').length, MOST_EXCHANGERS)
  assert.ok(normalize.mock.callCount() <= MOST_EXCHANGERS, String(normalize.mock.callCount()))
})

test('an address literal is its own server', () => {
  assert.equal(literalAddress('[192.0.2.1]'), '192.0.2.1')
  assert.equal(literalAddress('[IPv6:2001:db8::1]'), '2001:db8::1')
  for (const none of ['192.0.2.1', 'b.example', '[b.example]', '[X-other:1]', '[]'])
    assert.equal(literalAddress(none), undefined, none)
})

test('both families have their turn', () => {
  assert.deepEqual(interleave(['6a'], ['4a', '4b']), ['6a', '4a', '4b'])
  assert.deepEqual(interleave(['6a', '6b'], []), ['6a', '6b'])
})

test('servers without an address fail the mail, unless nobody could be asked', () => {
  assert.match(sayOutcome(unaddressed('b.example', ['b.example'], [])), /^failed: 5\.1\.2 /)
  assert.match(sayOutcome(unaddressed('b.example', ['mx1', 'mx2'], [])), /^failed: 5\.4\.4 .*mx1, mx2/)
  assert.match(sayOutcome(unaddressed('b.example', ['mx1'], ['SERVFAIL'])), /^deferred: 4\.4\.3 /)
})

test('a door of ours is known by whichever of our addresses somebody gives', () => {
  const own = (ip: string) => ['192.0.2.1', '2001:db8::1'].includes(ip)
  const at = (...ips: readonly string[]) => ips.map(ip => ({ ip, port: 25 }))
  const asked = (doors: ReturnType<typeof at>, ip: string, port = 25) => isOwnDoor(doors, { ip, port }, own)
  for (const ip of ['192.0.2.1', '127.0.0.1', '127.9.9.9', '0.0.0.0', '::ffff:192.0.2.1', '::FFFF:c000:201'])
    assert.equal(asked(at('0.0.0.0'), ip), true, ip)
  for (const ip of ['2001:db8::1', '2001:DB8:0::1', '::1', '0:0:0:0:0:0:0:1', '::'])
    assert.equal(asked(at('::'), ip), true, ip)
  for (const [doors, ip, port] of [
    [at('0.0.0.0'), '192.0.2.2', 25],
    [at('0.0.0.0'), '192.0.2.1', 26],
    [at('0.0.0.0'), '::1', 25],
    [at('::'), '192.0.2.1', 25],
    // Another door of this machine is somebody else's.
    [at('192.0.2.1'), '127.0.0.1', 25],
  ] as const)
    assert.equal(asked(doors, ip, port), false, ip)
})
