import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes } from '../base/bytes.ts'
import { parseCommand } from './command.ts'
import { after, MAX_OUTSTANDING, may, Onlooker, type Phase, said, TRANSITIONS } from './dialogue.ts'

const PHASES = Object.keys(TRANSITIONS) as Phase[]

test('a transaction goes from MAIL over RCPT to its message and back, and not otherwise', () => {
  let phase: Phase = 'greeting'
  const steps = [
    ['connect', 220, 'hello'],
    ['ehlo', 250, 'ready'],
    ['mail', 250, 'mail'],
    ['rcpt', 550, 'mail'],
    ['rcpt', 250, 'rcpt'],
    ['rcpt', 550, 'rcpt'],
    ['data', 354, 'body'],
    ['end-of-body', 550, 'ready'],
  ] as const
  for (const [what, code, then] of steps) {
    assert.ok(may(phase, what), `${what} from ${phase}`)
    phase = after(phase, what, code)
    assert.equal(phase, then, what)
  }
  for (const phase of ['greeting', 'hello', 'ready', 'mail', 'body', 'chunks', 'auth', 'closed'] as const) {
    assert.equal(may(phase, 'data'), false, phase)
  }
})

test('421 closes from anywhere, and a refused command changes nothing', () => {
  for (const phase of PHASES) {
    assert.equal(after(phase, 'noop', 421), 'closed')
    for (const what of ['mail', 'rcpt', 'data', 'ehlo', 'auth', 'bdat'] as const)
      assert.equal(after(phase, what, 550), phase)
  }
})

test('in a message, a login or TLS no command may come', () => {
  for (const phase of ['body', 'auth', 'tls', 'closed'] as const) {
    for (const what of ['noop', 'rset', 'quit', 'ehlo', 'mail', 'other'] as const) assert.equal(may(phase, what), false)
  }
})

test('the last chunk is another thing to say than a chunk', () => {
  const name = (line: string) => said(parseCommand(bytes(line)))
  assert.equal(name('BDAT 5'), 'bdat')
  assert.equal(name('BDAT 5 LAST'), 'last-chunk')
  assert.equal(name('BDAT x'), 'other')
  assert.equal(name('WIZ'), 'other')
  assert.equal(name('X-EXPS LOGIN'), 'x-exps')
})

test('an onlooker moves with the reply and not with the command', () => {
  const onlooker = new Onlooker()
  assert.equal(onlooker.hear(220), 'connect')
  onlooker.say('data')
  assert.equal(onlooker.phase, 'hello')
  assert.equal(onlooker.hear(503), 'data')
  assert.equal(onlooker.phase, 'hello')
  onlooker.say('data')
  onlooker.hear(354)
  assert.equal(onlooker.phase, 'body')
})

test('an onlooker takes what was said behind DATA for the message, once the server takes one', () => {
  const onlooker = new Onlooker()
  onlooker.hear(220)
  for (const what of ['data', 'noop', 'other'] as const) onlooker.say(what)
  onlooker.hear(354)
  assert.deepEqual([onlooker.phase, onlooker.outstanding], ['body', 0])
  onlooker.say('end-of-body')
  assert.equal(onlooker.hear(250), 'end-of-body')
  assert.equal(onlooker.phase, 'ready')
})

test('an onlooker who lost count is set right by 354, and by any answer to the end of a message', () => {
  const onlooker = new Onlooker()
  for (let i = 0; i < MAX_OUTSTANDING; i++) onlooker.say('noop')
  assert.equal(onlooker.say('data'), false)
  assert.equal(onlooker.outstanding, MAX_OUTSTANDING)
  onlooker.hear(354)
  assert.deepEqual([onlooker.phase, onlooker.outstanding], ['body', 0])
  onlooker.say('end-of-body')
  onlooker.hear(0)
  assert.equal(onlooker.phase, 'ready')
  assert.equal(onlooker.hear(250), undefined)
})
