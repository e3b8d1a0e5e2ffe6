import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { anyTable, connectorState, groupState, guid } from './any-table.test.ts'
import { differences, tableOf } from './link-state.ts'
import {
  differencesFrom,
  MAX_TOLD,
  MAX_WITNESS,
  readWitness,
  WITNESS_FIELD,
  witnessField,
  witnessOf,
} from './witness.ts'

const digest = guid('d', 7)
const valueIn = (field: string): string => field.slice(WITNESS_FIELD.length + 1)
const connector = (n: number, state: 'up' | 'down') => connectorState(guid('c', n), '*', { state })

test('what is written on a message reads back, folded into lines that any server passes', () => {
  fc.assert(
    fc.property(anyTable, fc.nat(20), (table, at) => {
      const path = table.slice(at, at + 3).map(({ group }) => group)
      const witness = witnessOf({ server: 'mail.a.example', digest, table }, path)
      const field = witnessField(witness)
      assert.deepEqual(readWitness(valueIn(field)), witness)
      assert.deepEqual(readWitness(valueIn(field).replace(/\r\n/g, '')), witness, 'unfolded')
      assert.ok(witness.told.length <= MAX_TOLD && field.length <= MAX_WITNESS, String(field.length))
      for (const line of field.split('\r\n')) assert.ok(line.length <= 78, line)
      // Their table is ours: nothing differs.
      assert.deepEqual(differencesFrom(table, witness), [])
    }),
    runs(200),
  )
})

test('it shows what the two tables see differently: who is behind, and which connector', () => {
  const [a, b, c] = [guid('a', 1), guid('a', 2), guid('a', 3)]
  const older = groupState(b, { connectors: [connector(1, 'up'), connector(2, 'down')] })
  const newer = {
    ...older,
    version: { ...older.version, minor: older.version.minor + 1 },
    connectors: [connector(1, 'down'), connector(2, 'down')],
  }
  const ours = tableOf([groupState(a), older])
  const theirs = tableOf([groupState(a), newer, groupState(c)])
  const told = readWitness(valueIn(witnessField(witnessOf({ server: 's', digest, table: theirs }, [b]))))
  assert.ok(told)
  const kinds = (found: ReturnType<typeof differences>) => found.map(({ group, kind }) => [group, kind])
  assert.deepEqual(kinds(differencesFrom(ours, told)), kinds(differences(ours, theirs)))
  const [found] = differencesFrom(ours, told)
  assert.deepEqual(
    found?.theirs?.connectors.map(({ state }) => state),
    ['down', 'down'],
  )
  // One version, two contents.
  const forked = tableOf([groupState(a), { ...older, connectors: newer.connectors }])
  assert.deepEqual(kinds(differencesFrom(ours, witnessOf({ server: 's', digest, table: forked }, []))), [[b, 'forked']])
})

test('of a large table the way is told, and what is down', () => {
  const table = tableOf(
    Array.from({ length: 400 }, (_, n) =>
      groupState(guid('a', n), { connectors: [connector(n, n % 100 === 7 ? 'down' : 'up')] }),
    ),
  )
  const { told, groups } = witnessOf({ server: 's', digest, table }, [guid('a', 300)])
  assert.equal(groups, 400)
  assert.deepEqual(
    told.slice(0, 5).map(({ group }) => group),
    [300, 7, 107, 207, 307].map(n => guid('a', n)),
  )
  // Groups that were not told of are not called unknown there.
  assert.deepEqual(differencesFrom(table, { server: 's', digest, groups, told }), [])
})

test('a group with more down than is told of looks no different for that', () => {
  const broken = groupState(guid('a', 1), { connectors: Array.from({ length: 40 }, (_, n) => connector(n, 'down')) })
  const witness = witnessOf({ server: 's', digest, table: [broken] }, [])
  assert.deepEqual(differencesFrom([broken], witness), [])
})

test('whatever a message says there, it is read or it is not, and nothing else happens', () => {
  for (const wrong of ['', 'x', `s ${digest}`, `s ${digest} of 1; ${digest}`, `s ${digest} of 1; ${digest} 1.0.0 +x`]) {
    assert.equal(readWitness(wrong), undefined, wrong)
  }
  const many = `s ${digest} of 99${`; ${digest} 1.0.0`.repeat(MAX_TOLD + 1)}`
  assert.equal(readWitness(many), undefined)
  assert.equal(readWitness(`\u001b[31m ${digest} of 1`), undefined)
  fc.assert(
    fc.property(fc.string({ maxLength: 300 }), text => {
      readWitness(text)
    }),
    runs(300),
  )
})
