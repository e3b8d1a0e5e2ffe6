import assert from 'node:assert/strict'
import { test } from 'node:test'
import { punycode } from './punycode.ts'

test('punycode() says what the samples of RFC 3492 §7.1 say', () => {
  for (const [text, encoded] of [
    ['ليهمابتكلموشعربي؟', 'egbpdaj6bu4bxfgehfvwxn'],
    ['他们为什么不说中文', 'ihqwcrb4cv8a8dqg056pqjye'],
    ['Pročprostěnemluvíčesky', 'Proprostnemluvesky-uyb24dma41a'],
    ['למההםפשוטלאמדבריםעברית', '4dbcagdahymbxekheh6e0a7fei0b'],
    ['почемужеонинеговорятпорусски', 'b1abfaaepdrnnbgefbadotcwatmq2g4l'],
    ['3年B組金八先生', '3B-ww4c5e180e575a65lsy2b'],
    ['-> $1.00 <-', '-> $1.00 <--'],
  ] as const)
    assert.equal(punycode(text), encoded)
})

test('punycode() of what lies beyond the basic plane, of half a pair and of nothing', () => {
  assert.equal(punycode('💌'), 'rr8h')
  assert.equal(punycode(''), '')
  assert.match(punycode('\ud800'), /^[a-z0-9]+$/)
})
