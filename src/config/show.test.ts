import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anySample } from './any-sample.test.ts'
import { parse } from './parse.ts'
import { EMPTY, SAMPLE, withoutPlaces } from './sample.test.ts'
import { show } from './show.ts'

test('show() writes the canonical lines, in the order of the table', () => {
  const text = `
: Saved
access-list vpn_in permit tcp 10.53.7.0 255.255.255.0 host 10.54.7.10 eq smtp
nameif ethernet0 outside security000
nameif   ethernet2 vpn security50
static (outside,vpn) 2001:DB8:0::1 10.54.7.10 netmask 255.255.255.255 0 0
banner motd   Welcome,  friend
fixup protocol smtp smtp-26
fixup protocol smtp 25
access-group vpn_in in interface vpn
`
  const { config, problems } = parse(SAMPLE, text, 'pix.conf')
  assert.deepEqual(problems, [])
  assert.equal(
    show(SAMPLE, config),
    `\
nameif ethernet0 outside security0
nameif ethernet2 vpn security50
fixup protocol smtp 25-26
fixup protocol smtp 25
access-list vpn_in permit tcp 10.53.7.0 255.255.255.0 host 10.54.7.10 eq 25
static (outside,vpn) 2001:db8::1 10.54.7.10 netmask 255.255.255.255 0 0
access-group vpn_in in interface vpn
banner motd "Welcome,  friend"
`,
  )
})

test('show() of an empty configuration is empty', () => {
  assert.equal(show(SAMPLE, EMPTY), '')
})

test('parse() of show() is the configuration again', () => {
  fc.assert(
    fc.property(anySample, config => {
      const { config: again, problems } = parse(SAMPLE, show(SAMPLE, config), 'shown')
      assert.deepEqual(problems, [])
      assert.deepEqual(withoutPlaces(again), config)
    }),
  )
})
