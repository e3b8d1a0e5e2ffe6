import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from '../config/parse.ts'
import { FIREWALL } from './commands.ts'
import { type ConsoleView, type } from './console.ts'
import { filtered, readFilter } from './console-filter.ts'

const VIEW: ConsoleView = {
  connections: () => ['2 in use', 'TCP out 192.0.2.7:1 in 10.0.0.5:25', 'TCP out 192.0.2.8:1 in 10.0.0.5:25'],
  altered: () => [],
  startup: () => undefined,
  logging: () => [],
  servers: () => [],
  version: () => [],
}

const { config } = parse(FIREWALL, 'hostname gw\n', 'gw.conf')
const typed = (line: string): readonly string[] => type(config, line, VIEW).answer

test('behind a bar stands what of an answer is wanted; words may be short, and the case of letters is any', () => {
  const seven = ['TCP out 192.0.2.7:1 in 10.0.0.5:25']
  assert.deepEqual(typed('show conn | include 192.0.2.7'), seven)
  assert.deepEqual(typed('sh conn|inc tcp OUT 192.0.2.7'), seven)
  assert.deepEqual(typed('show conn | ex TCP'), ['2 in use'])
  for (const wrong of ['show conn | grep x', 'show conn |', 'show conn | include']) {
    assert.deepEqual(typed(wrong), ['error: behind | stands include or exclude, and a text'])
    assert.ok(type(config, wrong, VIEW).wrong)
  }
  assert.deepEqual(type(config, 'show metrics | include tcp', VIEW).act, {
    kind: 'metrics',
    filter: { keeps: true, text: 'tcp' },
  })
})

test('lines that are indented are kept or left out with the one they belong to', () => {
  const records = ['one from a', '   by gw.conf:1: x', 'two from b', '   by gw.conf:2: y']
  assert.deepEqual(filtered(records, readFilter('x | include conf:2').filter), records.slice(2))
  assert.deepEqual(filtered(records, readFilter('x | exclude from b').filter), records.slice(0, 2))
  assert.deepEqual(filtered(records, undefined), records)
})

test('a name that is nearly one is told, and behind a whole one ? says what may come', () => {
  assert.deepEqual(typed('show explian'), ['error: "show explian" is not known', '   did you mean explain?'])
  assert.match(typed('show nothing of it').join('\n'), /known: running-config, /)
  assert.match(typed('show explain ?').join('\n'), /^\| include <text> [\s\S]*<cr>/)
  assert.match(typed('show e?').join('\n'), /^explain /)
})

test('? and help list what has an effect, and count what has none; a first letter lists that, too', () => {
  const all = typed('?')
  assert.deepEqual(typed('help'), all)
  assert.ok(all.some(line => line.startsWith('strict ')))
  assert.ok(!all.some(line => line.startsWith('crypto ')))
  assert.match(all.at(-1) ?? '', /^\(and \d\d of a PIX or an ASA that are kept, and not enforced here/)
  assert.match(typed('cr?').join('\n'), /^crypto /)
})
