import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { FIREWALL } from '../firewall/commands.ts'
import { anySample } from './any-sample.test.ts'
import { parse } from './parse.ts'
import { rewrite } from './rewrite.ts'
import { SAMPLE, withoutPlaces } from './sample.test.ts'
import { showLines } from './show.ts'

const read = (text: string) => parse(SAMPLE, text, 'a.conf').config

test('rewrite() keeps comments, blank lines and order; what is gone goes, what is new comes last', () => {
  const old = '! the name\nhostname a\n\nnameif  ethernet0 outside security0\n# the end\n'
  const { config } = parse(SAMPLE, 'hostname b\nnameif ethernet0 outside security0\n', 'b.conf')
  assert.deepEqual(rewrite(SAMPLE, old, config), {
    text: '! the name\n\nnameif  ethernet0 outside security0\n# the end\nhostname b\n',
    comments: true,
  })
})

test('where the order that was kept would mean something else, the plain text is written, and that is said', () => {
  const old = '! below\naccess-list x permit tcp any any\naccess-list x deny tcp any any\n'
  const turned = read('access-list x deny tcp any any\naccess-list x permit tcp any any\n')
  const { text, comments } = rewrite(SAMPLE, old, turned)
  assert.equal(comments, false)
  assert.equal(text, 'access-list x deny tcp any any\naccess-list x permit tcp any any\n')
})

const LINES = (...lines: readonly string[]) => lines.map(line => `${line}\n`).join('')

test('a line that says what is so without it stays with its comment, and so does one that is shown otherwise', () => {
  const old = LINES(
    '! ours',
    'nameif ethernet0 outside security0',
    '! as long as it takes: agreed with the night shift',
    'timeout drain 30s',
    '! by its number',
    'access-list mail permit tcp any host 192.0.2.5 eq 25',
    'strict command-wait 60s',
    'hostname a',
  )
  const gateway = (text: string) => parse(FIREWALL, text, 'gw.conf').config
  const same = rewrite(FIREWALL, old, gateway(old))
  assert.deepEqual(same, { text: old, comments: true })
  const renamed = rewrite(FIREWALL, old, gateway(`${old}hostname b\n`))
  assert.deepEqual(renamed, { text: old.replace('hostname a', 'hostname b'), comments: true })
  // What was so without it, and is no more, is not said any longer.
  const other = rewrite(FIREWALL, old, gateway(`${old}timeout drain 5m\n`))
  assert.deepEqual(other, { text: `${old.replace('timeout drain 30s\n', '')}timeout drain 5m\n`, comments: true })
})

test('whatever the file was, what is written reads as the configuration in force', () => {
  fc.assert(
    fc.property(anySample, anySample, fc.array(fc.constantFrom('! why', '', '# x')), (before, after, notes) => {
      const old = [...notes, ...showLines(SAMPLE, before).flatMap((line, i) => [line, notes[i] ?? ''])].join('\n')
      const { text } = rewrite(SAMPLE, old, after)
      const again = read(text)
      assert.deepEqual(withoutPlaces(again), withoutPlaces(read(showLines(SAMPLE, after).join('\n'))))
    }),
    runs(100),
  )
})
