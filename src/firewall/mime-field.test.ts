import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { MAX_MIME_PARAMS, parseMimeField } from './mime-field.ts'

function read(text: string): readonly unknown[] {
  const { value, params } = parseMimeField(text)
  return [value, Object.fromEntries(params)]
}

test('a MIME field gives its value and its parameters, quoted or not, in one piece or several', () => {
  assert.deepEqual(read(' Text/Plain '), ['text/plain', {}])
  assert.deepEqual(read('text/plain; charset=utf-8; Name="a; \\"b\\".txt"'), [
    'text/plain',
    { charset: 'utf-8', name: 'a; "b".txt' },
  ])
  assert.deepEqual(read("attachment; filename*0*=utf-8''a%20; filename*1=b.exe;"), [
    'attachment',
    { filename: "utf-8''a%20b.exe" },
  ])
  assert.deepEqual(read('attachment; filename=a.txt; filename=b.exe'), ['attachment', { filename: 'a.txt' }])
  assert.deepEqual(read('attachment; filename="never closed'), ['attachment', { filename: 'never closed' }])
})

test('any text at all is read, and no more parameters than there may be', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'a;="\\* \t') }), said => {
      assert.ok(parseMimeField(said).params.size <= MAX_MIME_PARAMS)
    }),
    runs(1000),
  )
  assert.equal(parseMimeField(`x${';a=b'.repeat(500)}`).params.size, 1)
})
