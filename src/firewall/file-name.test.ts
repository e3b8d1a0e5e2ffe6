import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { fileNames, MAX_NAMES } from './file-name.ts'

test('every name that a reader may take is told, decoded and as it is', () => {
  assert.deepEqual(fileNames(' text/plain; charset=utf-8'), [])
  assert.deepEqual(fileNames("attachment; filename*=utf-8'en'A%20b.exe"), ["utf-8'en'a%20b.exe", 'a b.exe'])
  assert.deepEqual(fileNames('x/y; name="=?utf-16?B?YQAuAGUAeABlAA==?="'), ['=?utf-16?b?yqauaguaeablaa==?=', 'a.exe'])
  assert.ok(fileNames('attachment; filename*1=.exe; filename*0=a')?.includes('a.exe'))
  assert.equal(fileNames('name=a;'.repeat(MAX_NAMES + 1)), undefined)
})

test('any text at all is read, and a long one in no more time than its length', () => {
  const piece = fc.constantFrom(
    'name',
    'file',
    '*',
    '0',
    '=',
    '"',
    '\\',
    '%41',
    '=?a?b?',
    '?=',
    "'",
    ' ',
    '(',
    ')',
    ';',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), pieces => {
      const names = fileNames(pieces.join('')) ?? []
      for (const name of names) assert.doesNotMatch(name, /\0|[. \t]$|^$/)
    }),
    runs(1000),
  )
  for (const again of ['name=', 'name(', '. ', '=?a?b?', "'", ' ']) {
    const began = process.cpuUsage()
    fileNames(`${'name*1='.repeat(2)}${again.repeat(250_000 / again.length)}`)
    fileNames(`name*1=${again.repeat(1000)};`.repeat(MAX_NAMES))
    const { user } = process.cpuUsage(began)
    assert.ok(user < 2_000_000, `${again}: ${user} µs`)
  }
})
