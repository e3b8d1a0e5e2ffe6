import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { bytes, text } from '../base/bytes.ts'
import { alterationsIn } from './alteration.ts'
import { diagnose } from './diagnosis.ts'
import type { Exchange } from './observation.ts'
import { readObservation } from './observation.ts'
import { firstPlan, GAP, LULL, type Plan, Probe, type ProbeOutput, typedPlan } from './probe.ts'

const PLAN: Plan = firstPlan('c.example', 5_000)

function run(plan: Plan, replies: readonly string[]): { readonly said: string; readonly heard: readonly Exchange[] } {
  const probe = new Probe(1, plan)
  let now = 0
  let said = ''
  const heard: Exchange[] = []
  const carry = (outputs: readonly ProbeOutput[]) => {
    for (const output of outputs) {
      if (output.kind === 'write') said += text(output.bytes)
      if (output.kind === 'heard') heard.push(output.exchange)
    }
  }
  carry(probe.open(now))
  for (const reply of replies) {
    carry(probe.receive(bytes(reply), ++now))
    for (let i = 0; i < 100 && probe.deadline !== undefined && probe.deadline - now <= GAP; i++) {
      now = probe.deadline
      carry(probe.tick(now))
    }
  }
  carry(probe.end(now))
  return { said, heard }
}

test('it says these lines and no others: no MAIL, no RCPT, no DATA, no AUTH', () => {
  const { said } = run(PLAN, [
    '220 x\r\n',
    '250 x\r\n',
    '500 ?\r\n',
    '250 ok\r\n',
    '454 no\r\n',
    '250 x\r\n',
    '221 bye\r\n',
  ])
  assert.equal(said, 'EHLO c.example\r\nZQXJ a b\r\nNOOP\r\nSTARTTLS\r\nHELO c.example\r\nQUIT\r\n')
})

test('typed, each octet leaves by itself, and the goodbye whole', () => {
  const probe = new Probe(1, typedPlan('c', 5_000))
  probe.open(0)
  const first = probe.receive(bytes('220 x\r\n'), 1)
  assert.deepEqual(first.at(-1), { kind: 'write', bytes: bytes('H') })
  assert.equal(probe.deadline, 1 + GAP)
  assert.deepEqual(probe.tick(1 + GAP), [{ kind: 'write', bytes: bytes('E') }])
})

test('a greeting whose last line has lost its code is waited for a moment, and not for ever', () => {
  const probe = new Probe(1, PLAN)
  probe.open(0)
  assert.deepEqual(probe.receive(bytes('220-****\r\n*********\r\n'), 10), [])
  assert.equal(probe.deadline, 10 + LULL)
  const [heard, next] = probe.tick(10 + LULL)
  assert.equal(heard?.kind === 'heard' ? heard.exchange.ending : '', 'unreadable')
  assert.deepEqual(next, { kind: 'write', bytes: bytes('EHLO c.example\r\n') })
})

test('octets in clear behind the reply to STARTTLS end it', () => {
  const probe = new Probe(1, PLAN)
  probe.open(0)
  for (const reply of ['220 x\r\n', '250 x\r\n', '500 ?\r\n', '250 ok\r\n']) probe.receive(bytes(reply), 1)
  const out = probe.receive(bytes('220 go\r\n250 injected\r\n'), 2)
  assert.deepEqual(
    out.map(({ kind }) => kind),
    ['heard', 'close', 'done'],
  )
})

test('whatever a server says, the probe ends, keeps little, and what is made of it breaks nothing', () => {
  const line = fc.oneof(
    fc.constantFrom(
      '220 x',
      '250-x',
      '250 XXXXXXXA',
      '500 "XXXX a"',
      '220 ****************',
      '354 go',
      '421 no',
      '220-***',
      '***',
    ),
    fc.string({ unit: 'binary-ascii', maxLength: 60 }),
  )
  fc.assert(
    fc.property(fc.array(line, { maxLength: 40 }), fc.boolean(), (lines, typed) => {
      const { heard } = run(
        typed ? typedPlan('c', 5_000) : PLAN,
        lines.map(each => `${each}\r\n`),
      )
      const observation = { vantage: 'here', target: 'x', exchanges: heard, notes: [] }
      alterationsIn(observation)
      diagnose(observation)
      assert.deepEqual(readObservation(JSON.parse(JSON.stringify(observation))), observation)
    }),
    runs(300),
  )
})

test('a reply without end is cut off', () => {
  const { heard } = run(PLAN, ['220 x\r\n', '250-x\r\n'.repeat(5_000)])
  assert.equal(heard.at(-1)?.ending, 'unreadable')
  assert.ok((heard.at(-1)?.heard.length ?? 0) <= 101)
})
