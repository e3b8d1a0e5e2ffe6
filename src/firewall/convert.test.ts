import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from '../config/parse.ts'
import { crossing } from '../topology/topology.ts'
import { FIREWALL } from './commands.ts'
import { convertFixups } from './convert.ts'
import { inspectionOf } from './inspection.ts'

function read(text: string) {
  const { config, problems } = parse(FIREWALL, text, 'fw.conf')
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
    text,
  )
  return config
}

const WAY = crossing('fw', { name: 'outside', device: 'e0', level: 0 }, { name: 'inside', device: 'e1', level: 100 })

for (const text of [
  'PIX Version 6.3(5)\n',
  'PIX Version 4.4(5)\nfixup protocol smtp 2525\n',
  'PIX Version 6.1(1)\nno fixup protocol smtp 25\nfixup protocol smtp 587-588\n',
  'PIX Version 6.1(1)\nno fixup protocol smtp 25\n',
  'fixup protocol smtp 24-26\n',
]) {
  test(`what ${JSON.stringify(text)} is converted to inspects SMTP at the same ports`, () => {
    const before = read(text)
    const after = read(`ASA Version 9.1(2)\n${convertFixups(before).join('\n')}\n`)
    for (const port of [24, 25, 26, 587, 588, 589, 2525]) {
      const inspects = [before, after].map(config => {
        const policy = inspectionOf(config, WAY, { source: '192.0.2.7', destination: '192.0.2.10', port })
        return policy !== undefined
      })
      assert.equal(inspects[1], inspects[0], `port ${port}`)
    }
  })
}

test('every other fixup of a version becomes an inspection of its own, once', () => {
  const lines = convertFixups(read('PIX Version 6.3(5)\n')).filter(line => line.startsWith('  '))
  const inspects = [
    'esmtp',
    'dns',
    'ftp',
    'h323 h225',
    'h323 ras',
    'http',
    'rsh',
    'rtsp',
    'sip',
    'skinny',
    'sqlnet',
    'tftp',
  ]
  assert.deepEqual(
    lines,
    inspects.map(each => `  inspect ${each}`),
  )
})

test('what is lost on the way is said', () => {
  const lines = convertFixups(read('no fixup protocol smtp 25\nfixup protocol esp-ike\n'))
  assert.deepEqual(lines, [
    "! converting 'fixup protocol esp-ike' to MPF commands",
    "! 'no fixup protocol smtp 25' leaves nothing to convert",
    "! 'fixup protocol esp-ike' has no counterpart",
  ])
})
