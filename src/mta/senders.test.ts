import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from '../config/parse.ts'
import { parseMailbox } from '../smtp/address.ts'
import { acceptSender } from './acceptance.ts'
import { MTA } from './commands.ts'

const LINES = `sender-of alice alice@a.example ann@a.example
sender-of web @shop.example news@a.example
sender-of mail-b *
sender-of * @a.example
`

function ask(lines: string, login: string | undefined, from: string): string {
  const { config, problems } = parse(MTA, lines, 'mta.conf')
  assert.deepEqual(problems, [])
  const mailbox = from === '' ? null : parseMailbox(from)
  assert.ok(mailbox === null || !('wrong' in mailbox))
  const answer = acceptSender(config, { about: 'mail', from: mailbox, peer: '192.0.2.7', login })
  return 'no' in answer ? answer.no : 'yes'
}

test('who has logged in sends from the addresses of their line; who has none, from those of everybody else', () => {
  for (const [login, from, said] of [
    ['alice', 'Alice@A.example', 'yes'],
    ['alice', 'ann@a.example', 'yes'],
    ['alice', 'bob@a.example', 'not-your-address'],
    ['alice', 'alice@x.a.example', 'not-your-address'],
    ['alice', 'alice', 'not-your-address'],
    ['web', 'anybody@shop.example', 'yes'],
    ['web', 'x@sub.shop.example', 'not-your-address'],
    ['mail-b', 'x@b.example', 'yes'],
    ['carol', 'carol@a.example', 'yes'],
    ['carol', 'x@b.example', 'not-your-address'],
    // A report has no sender, and a stranger is nobody's login.
    ['alice', '', 'yes'],
    [undefined, 'bob@a.example', 'yes'],
  ] as const)
    assert.equal(ask(LINES, login, from), said, `${login} ${from}`)
})

test('without a line for them a login sends from any address', () => {
  assert.equal(ask('sender-of alice alice@a.example\n', 'bob', 'x@b.example'), 'yes')
  assert.equal(ask('', 'alice', 'x@b.example'), 'yes')
})

test('what is no address is said with its place', () => {
  for (const word of ['alice', '@', '@-x', 'a@', '**']) {
    const { problems } = parse(MTA, `sender-of alice a@a.example ${word}\n`, 'mta.conf')
    assert.equal(problems.length, 1, word)
    assert.ok(problems[0]?.message.includes(word), problems[0]?.message)
  }
})
