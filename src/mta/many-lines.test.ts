import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { parse } from '../config/parse.ts'
import { route } from '../routing/connector.ts'
import { acceptRecipient, acceptSender, verifyAddress } from './acceptance.ts'
import { Aliases } from './aliases.ts'
import { MTA } from './commands.ts'
import { turnFor } from './work.ts'

/** Labels outside ASCII of which A-labels are made while `work` runs: each is normalized once. */
function folded(t: TestContext, work: () => unknown): number {
  const normalize = t.mock.method(String.prototype, 'normalize')
  work()
  normalize.mock.restore()
  return normalize.mock.callCount()
}

const text = (count: number): string =>
  [
    'connector b to B cost 1 target 192.0.2.1',
    ...Array.from({ length: count }, (_, i) => [
      `local-domain bücher${i}.example`,
      `mailbox bob@bücher${i}.example`,
      `alias sales@bücher${i}.example bob@bücher${i}.example`,
      `turn-domain später${i}.example login b`,
      `destination-tls sichér${i}.example verify`,
      `address-space b smtp wég${i}.example`,
    ]).flat(),
    `sender-of b ${Array.from({ length: count }, (_, i) => `@bücher${i}.example`).join(' ')}`,
  ].join('\n')

test('what a domain outside ASCII costs does not grow with the lines that it is compared with', t => {
  const spent = [10, 200].map(count => {
    const { config, problems } = parse(MTA, text(count), 'mail.conf')
    assert.deepEqual(problems, [])
    const aliases = new Aliases(config, config.aliases)
    const ask = () => {
      for (const domain of ['ö'.repeat(63), `${'ö'.repeat(63)}.example`, 'bücher3.example']) {
        const to = { local: 'nobody', domain }
        const peer = '192.0.2.7'
        acceptRecipient(config, { about: 'rcpt', from: null, to, peer, login: undefined }, undefined, aliases)
        acceptSender(config, { about: 'mail', from: to, peer, login: 'b' })
        verifyAddress(config, `nobody@${domain}`, aliases)
        turnFor(config, to)
        route(config.routing, to)
      }
    }
    // The keys of the lines are made by the first who asks.
    ask()
    return folded(t, ask)
  })
  const [few = 0, many] = spent
  assert.ok(few > 0 && few < 60, `${few} labels for three domains`)
  assert.equal(many, few)
})

test('to read twice as many lines takes twice as many keys', t => {
  const [one = 0, two = 0] = [100, 200].map(count => folded(t, () => parse(MTA, text(count), 'mail.conf')))
  assert.ok(one > 0)
  assert.ok(two <= 2 * one, `${one}, then ${two}`)
})
