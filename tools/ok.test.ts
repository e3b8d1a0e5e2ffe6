import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readTap } from './ok.ts'

const TAP = `TAP version 13
# Subtest: judge() masks a verb \\# SKIP the policy does not name
ok 1 - judge() masks a verb \\# SKIP the policy does not name
  ---
  type: 'test'
  ...
# Subtest: namespaces
    # Subtest: with \\# 1
    ok 1 - with \\# 1 # SKIP needs the privilege "CAP_NET_ADMIN"
    # Subtest: two
    ok 2 - two # SKIP
    1..2
not ok 2 - namespaces
# Subtest: jetstream
ok 3 - jetstream # SKIP no server
1..3
# tests 5
# skipped 3
`

test('readTap() names what was skipped, with its suite and the reason', () => {
  assert.deepEqual(readTap(TAP), {
    tests: 5,
    skipped: [
      { name: 'namespaces › with # 1', reason: 'needs the privilege "CAP_NET_ADMIN"' },
      { name: 'namespaces › two', reason: 'no reason given' },
      { name: 'jetstream', reason: 'no server' },
    ],
  })
})

test('readTap() takes a report that breaks off for one without tests', () => {
  assert.deepEqual(readTap('TAP version 13\n# Subtest: a\nok 1 - a\n'), { tests: 0, skipped: [] })
})
