/** Both ends of a way with a box on it: every octet it alters is found, and the box is named. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Asked, diagnoseFar } from '../../src/app/diagnosis.ts'
import { Listener } from '../../src/app/listen.ts'
import { connector } from '../../src/app/prober.ts'
import { BOXES } from '../../src/diagnosis/box.ts'
import type { Diagnosis } from '../../src/diagnosis/diagnosis.ts'
import { PROXIES } from '../../src/diagnosis/proxy-experiment.ts'
import type { Policy } from '../../src/firewall/policy.ts'
import { strict } from '../../src/firewall/profiles/strict.ts'
import type { Endpoint } from '../../src/io/sockets.ts'
import { gate } from './gate.ts'

let far: Endpoint
let listener: Listener

before(async () => {
  listener = await Listener.open({ host: '127.0.0.1', port: 0 }, () => {})
  far = listener.endpoint
})
after(() => listener.stop())

async function through(policy: Policy | undefined): Promise<Diagnosis> {
  const { endpoint, stop } = await gate(far, policy)
  const vantage = { name: 'here', target: 'far:25', connect: connector(endpoint) }
  const asked: Asked = { vantages: [vantage], patience: 2_000, hello: 'near.example' }
  try {
    const { diagnosis } = await diagnoseFar(vantage, asked)
    return diagnosis
  } finally {
    await stop()
  }
}

test('an open way is clean, with a message and octet by octet', async () => {
  const diagnosis = await through(undefined)
  assert.deepEqual(diagnosis.alterations, [])
  assert.equal(diagnosis.outcome, 'clean')
})

/** What a policy does, in one string. */
function doings({ rules }: Policy): string {
  return JSON.stringify(
    rules.map(({ match, action }) => [match, action]),
    (_, value: unknown) => (value instanceof Set ? [...value] : value),
  )
}

for (const box of BOXES) {
  test(`${box.id}: whatever it alters is proven, and it is named`, async () => {
    const { alterations, suspects, outcome } = await through(box.policy)
    assert.equal(outcome, 'altered')
    assert.ok(alterations.every(({ grade, before }) => grade === 'proven' && before !== undefined))
    const [first] = suspects
    // Variants of two versions may be the same policy: then both are named, and nobody else.
    const named = first ? [first.name, ...first.alike] : []
    const same = BOXES.filter(({ policy }) => doings(policy) === doings(box.policy))
    assert.deepEqual(named.toSorted(), same.map(({ name }) => name).toSorted(), JSON.stringify(alterations))
  })
}

test('of a PIX 5.1 both directions are told, octet by octet, and an address with a pipe', async () => {
  const box = BOXES.find(({ id }) => id === 'pix-5.1')
  const { alterations, suspects } = await through(box?.policy)
  assert.equal(suspects[0]?.grade, 'proven')
  const said = alterations.map(({ kind, subject, before, after }) => `${kind} ${subject}: ${before} > ${after}`)
  assert.ok(said.includes('verb EHLO: EHLO near.example > XXXX near.example'), said.join('\n'))
  assert.ok(
    said.some(each => /^verb MAIL: .*<near\|side@.*> .* > .*<near side@/.test(each)),
    said.join('\n'),
  )
  assert.ok(
    said.some(each => /^greeting : 220 far-side.* > 220 \*+/.test(each)),
    said.join('\n'),
  )
})

for (const box of PROXIES) {
  test(`${box.id}: whatever it keeps back or answers by itself is proven, and it is named`, async () => {
    const { suspects, outcome } = await through(box.policy)
    assert.equal(outcome, 'altered')
    const [first] = suspects
    const named = first ? [first.name, ...first.alike] : []
    assert.ok(named.includes(box.name), named.join('; '))
    assert.ok(
      named.every(name => PROXIES.some(each => each.name === name && each.vendor === box.vendor)),
      named.join('; '),
    )
  })
}

test('a proxy that answers by itself is seen: what it says is another reply, and what it drops never arrives', async () => {
  const cause = { at: { file: '', line: 1, column: 1, length: 1, text: '' }, command: 'strict', cure: 'no strict' }
  const { outcome, alterations } = await through(strict(cause))
  assert.equal(outcome, 'altered')
  const found = new Map(alterations.map(each => [`${each.kind} ${each.subject}`, each]))
  assert.match(found.get('reply ZQXJ')?.why ?? '', /it never arrived.*500 5\.5\.1 Command unrecognized/)
  assert.equal(found.get('keyword-missing X-LINK2STATE')?.before, 'X-LINK2STATE')
  assert.equal(found.get('keyword-missing DELIVERBY')?.before, 'DELIVERBY')
})
